//! Reads the rows of any sharded table on all shards, in snapshots that tile the ring: each row once, also while chunks move.

use std::io::{self, Read as _};
use std::sync::mpsc::{SyncSender, sync_channel};

use postgres::Transaction;
use postgres::fallible_iterator::FallibleIterator as _;
use postgres::types::Type;

use super::list::cut_off;
use super::snapshot::{self, Missing, ShardSnapshot};
use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::model::table::{ShardingKey, Table, TableName};
use crate::pg::catalog::quoted;
use crate::pg::cluster::Cluster;
use crate::pg::net::session;
use crate::pg::net::sqlstate;
use crate::pg::pool::read_routing::ReadIntent;
use crate::pg::requests::connection::ROW_TEXT;

/// How many pieces may wait for the writer.
const PIECES_WAITING: usize = 8;
/// The size of a piece.
const PIECE_BYTES: usize = 64 << 10;

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowFormat {
    /// CSV of COPY: an empty field is NULL, `""` an empty text.
    Csv,
    /// An object a line, by `row_to_json`.
    JsonLines,
}

/// The number of rows of each sharded table, by table, and what is missing.
pub type TableCounts = (Vec<(TableName, Vec<(ShardName, i64)>)>, Missing);

/// Counts the rows of these tables.
pub fn count_tables(cluster: &Cluster, tables: &[Table], allow_partial: bool) -> Result<TableCounts> {
    let snapshot = snapshot::open(cluster, ReadIntent::AllowReplica, allow_partial)?;
    let mut counts = Vec::new();
    for table in tables {
        let Some(key) = &table.key else { continue };
        let pending: Vec<_> = snapshot
            .parts
            .iter()
            .map(|part| {
                let sql = format!("SELECT pg_catalog.count(*) {}", from(part, &table.name, key));
                (&part.shard, part.begin(move |transaction| transaction.query_typed_one(&sql, &[])))
            })
            .collect();
        let of_shard = pending
            .into_iter()
            .map(|(shard, counted)| Ok((shard.clone(), counted.wait("count rows", shard)?.get(0))));
        counts.push((table.name.clone(), of_shard.collect::<Result<Vec<_>>>()?));
    }
    Ok((counts, snapshot.missing))
}

/// Reads all rows of a sharded table, one shard after the other: `write` gets them in pieces that may end anywhere. The first
/// line of CSV is the header. `write` returns whether it wants more.
pub fn export(
    cluster: &Cluster,
    table: &Table,
    format: RowFormat,
    allow_partial: bool,
    write: &mut dyn FnMut(&[u8]) -> Result<bool>,
) -> Result<Missing> {
    let Some(key) = &table.key else {
        let message = format!("the table `{}` is a reference table, the same on every shard", table.name);
        return Err(Error::new(Kind::Usage, message).hint("psql with the URL of one shard copies it"));
    };
    let snapshot = snapshot::open(cluster, ReadIntent::AllowReplica, allow_partial)?;
    for (at, part) in snapshot.parts.iter().enumerate() {
        let (sender, receiver) = sync_channel(PIECES_WAITING);
        let (is_first, is_pooled) = (at == 0, part.is_pooled);
        let from = from(part, &table.name, key);
        let shard = part.shard.clone();
        part.run(move |transaction| {
            if let Err(cause) = send(transaction, is_pooled, &from, format, is_first, &sender) {
                let _ = sender.send(Err(cause.on(&shard)));
            }
        });
        loop {
            // An empty piece is the end; a closed channel without it is an incomplete answer.
            let piece = receiver.recv().map_err(|_| cut_off(&part.shard))??;
            if piece.is_empty() {
                break;
            }
            if !write(&piece)? {
                return Ok(snapshot.missing);
            }
        }
    }
    Ok(snapshot.missing)
}

/// The part of a query from FROM on: the rows of a table that this shard serves.
pub(super) fn from(part: &ShardSnapshot, table: &TableName, key: &ShardingKey) -> String {
    let excluded = part.excluded_of(&format!("t.{}", quoted(&key.column)));
    format!("FROM {} AS t WHERE true{excluded}", table.as_sql())
}

/// Why rows cannot be read.
enum Unreadable {
    Server(postgres::Error),
    Stream(io::Error),
}

impl From<postgres::Error> for Unreadable {
    fn from(cause: postgres::Error) -> Self {
        Self::Server(cause)
    }
}

impl Unreadable {
    fn on(self, shard: &ShardName) -> Error {
        let what = "read rows";
        match self {
            Self::Server(cause) => sqlstate::doing(what, shard, &cause),
            // An error of the server during a COPY is wrapped.
            Self::Stream(cause) => match cause.get_ref().and_then(|inner| inner.downcast_ref()) {
                Some(cause) => sqlstate::doing(what, shard, cause),
                None => Error::new(Kind::Unreachable, format!("cannot {what} on shard `{shard}`: {cause}"))
                    .hint("run this again")
                    .on_shard(shard),
            },
        }
    }
}

/// Sends the rows of one shard, and an empty piece at the end. Ends early if the receiver is gone.
fn send(
    transaction: &mut Transaction<'_>,
    is_pooled: bool,
    from: &str,
    format: RowFormat,
    is_first: bool,
    sender: &SyncSender<Result<Vec<u8>>>,
) -> Result<(), Unreadable> {
    transaction.batch_execute(ROW_TEXT)?;
    match format {
        RowFormat::Csv => {
            let copy = format!("COPY (SELECT t.* {from}) TO STDOUT (FORMAT csv, HEADER {is_first})");
            let statement = session::prepare(transaction, is_pooled, &copy, &[])?;
            let mut reader = transaction.copy_out(&statement)?;
            loop {
                let mut piece = vec![0; PIECE_BYTES];
                let length = reader.read(&mut piece).map_err(Unreadable::Stream)?;
                if length == 0 {
                    break;
                }
                piece.truncate(length);
                if sender.send(Ok(piece)).is_err() {
                    return Ok(());
                }
            }
        }
        RowFormat::JsonLines => {
            let sql = format!("SELECT pg_catalog.row_to_json(t)::text {from}");
            let no_parameters: [(i64, Type); 0] = [];
            let mut rows = transaction.query_typed_raw(&sql, no_parameters)?;
            let mut piece = Vec::with_capacity(PIECE_BYTES);
            while let Some(row) = rows.next()? {
                piece.extend_from_slice(row.get::<_, &str>(0).as_bytes());
                piece.push(b'\n');
                if piece.len() >= PIECE_BYTES && sender.send(Ok(std::mem::take(&mut piece))).is_err() {
                    return Ok(());
                }
            }
            if !piece.is_empty() && sender.send(Ok(piece)).is_err() {
                return Ok(());
            }
        }
    }
    let _ = sender.send(Ok(Vec::new()));
    Ok(())
}
