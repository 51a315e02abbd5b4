//! The parts that the shards compute, each in its snapshot, without the rows that another shard serves.

use std::collections::BTreeSet;
use std::io::{self, BufRead as _, Read as _, Seek as _, Write as _};
use std::iter;
use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use postgres::Transaction;
use sqlparser::ast::{Query, TableFactor, VisitMut as _, VisitorMut};

use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::model::sql;
use crate::model::table::Tables;
use crate::pg::catalog::quoted;
use crate::pg::net::session::prepare;
use crate::pg::net::sqlstate;
use crate::pg::scan::list::cut_off;
use crate::pg::scan::snapshot::ShardSnapshot;

/// Settings under which a value survives its text. TIME ZONE is not among them: it may decide about the result.
pub(super) const TEXT: &str = "SET LOCAL DateStyle = 'ISO'; SET LOCAL IntervalStyle = 'postgres'; \
     SET LOCAL extra_float_digits = 1; SET LOCAL bytea_output = 'hex'";
/// How many bytes of rows are passed on together.
const CHUNK_BYTES: usize = 64 * 1024;
/// How many such chunks may wait.
const CHUNKS_WAITING: usize = 16;

/// A query as a shard computes it: without rows that another shard serves.
pub(super) fn of_shard(query: &Query, tables: &Tables, part: &ShardSnapshot) -> Result<String> {
    if part.excluded().is_empty() {
        return Ok(query.to_string());
    }
    let mut query = query.clone();
    let mut exclude =
        Exclude { tables, ctes: sql::cte_names(&query), part, cannot: false, conditions: Vec::new() };
    let _ = query.visit(&mut exclude);
    if exclude.cannot {
        let message = "the statement samples a table, and rows are being moved";
        return Err(Error::new(Kind::Locked, message)
            .hint("ringshard status shows the progress; then run this again"));
    }
    let mut text = query.to_string();
    for (number, condition) in exclude.conditions.iter().enumerate() {
        text = text.replace(&format!(" AND {}", placeholder(number)), condition);
    }
    Ok(text)
}

/// What stands for a condition that the parser does not know.
fn placeholder(number: usize) -> String {
    format!("ringshard_excluded_{number}_")
}

/// Puts a query without the excluded rows in the place of each sharded table.
struct Exclude<'a> {
    tables: &'a Tables,
    ctes: BTreeSet<String>,
    part: &'a ShardSnapshot,
    cannot: bool,
    /// In the order of their placeholders.
    conditions: Vec<String>,
}

impl VisitorMut for Exclude<'_> {
    type Break = ();

    fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        let Some((table, alias)) = sql::sharded_at(self.tables, &self.ctes, factor) else {
            return ControlFlow::Continue(());
        };
        let Some(key) = &table.key else { return ControlFlow::Continue(()) };
        self.cannot |= matches!(factor, TableFactor::Table { sample: Some(_), .. });
        let placeholder = placeholder(self.conditions.len());
        self.conditions.push(self.part.excluded_of(&format!("t.{}", quoted(&key.column))));
        let text = format!("SELECT t.* FROM {} AS t WHERE true AND {placeholder}", table.name.as_sql());
        match sql::parse(&text).ok().as_ref().and_then(sql::query_of) {
            Some(subquery) => {
                let subquery = Box::new(subquery.clone());
                *factor = TableFactor::Derived { lateral: false, subquery, alias: Some(alias), sample: None };
            }
            None => self.cannot = true,
        }
        ControlFlow::Continue(())
    }
}

/// The rows of all parts, as they arrive, in the text format of COPY. An empty chunk is the end of one part.
pub(super) struct Rows {
    chunks: Receiver<Result<Vec<u8>>>,
    left: usize,
}

impl Rows {
    /// Computes a part on each of these shards.
    pub(super) fn of(parts: &[ShardSnapshot], texts: Vec<String>) -> Self {
        let (sender, chunks) = sync_channel(CHUNKS_WAITING);
        let left = parts.len();
        for (part, sql) in parts.iter().zip(texts) {
            let (shard, is_pooled, sender) = (part.shard.clone(), part.is_pooled, sender.clone());
            part.run(move |transaction| {
                let sent = send(transaction, is_pooled, &shard, &sql, &sender);
                let _ = sender.send(sent.map(|()| Vec::new()));
            });
        }
        Self { chunks, left }
    }
}

impl Iterator for Rows {
    type Item = Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.left > 0 {
            match self.chunks.recv() {
                Ok(Ok(chunk)) if chunk.is_empty() => self.left -= 1,
                Ok(chunk) => return Some(chunk),
                Err(_) => {
                    self.left = 0;
                    let message = "the answer of a shard is incomplete";
                    return Some(Err(Error::new(Kind::Failed, message).hint("run this again")));
                }
            }
        }
        None
    }
}

/// Sends the rows of one part; ends early if nobody reads them.
fn send(
    transaction: &mut Transaction<'_>,
    is_pooled: bool,
    shard: &ShardName,
    sql: &str,
    out: &SyncSender<Result<Vec<u8>>>,
) -> Result<()> {
    let failed = |cause: &postgres::Error| sqlstate::doing("run a part of the statement", shard, cause);
    log::debug!("Executing in shard {shard}: {sql}");
    let copy = format!("COPY (\n{sql}\n) TO STDOUT");
    let mut reader = prepare(transaction, is_pooled, &copy, &[])
        .and_then(|statement| transaction.copy_out(&statement))
        .map_err(|cause| failed(&cause))?;
    let mut chunk = Vec::new();
    loop {
        let read = match reader.fill_buf() {
            Ok(bytes) => {
                chunk.extend_from_slice(bytes);
                bytes.len()
            }
            Err(cause) => {
                let inner = cause.into_inner().and_then(|inner| inner.downcast::<postgres::Error>().ok());
                return Err(inner.map_or_else(|| cut_off(shard), |inner| failed(&inner)));
            }
        };
        reader.consume(read);
        // A message of the server has whole rows.
        if (chunk.len() >= CHUNK_BYTES || read == 0)
            && !chunk.is_empty()
            && out.send(Ok(std::mem::take(&mut chunk))).is_err()
        {
            return Ok(());
        }
        if read == 0 {
            return Ok(());
        }
    }
}

/// The same rows from a temporary file, once all have been read.
pub(super) fn spooled(
    rows: impl Iterator<Item = Result<Vec<u8>>>,
) -> Result<impl Iterator<Item = Result<Vec<u8>>> + Send> {
    let failed = |cause: io::Error| {
        Error::new(Kind::Failed, format!("cannot keep the parts in a temporary file: {cause}"))
            .hint("TMPDIR names the folder of such files")
    };
    let mut file = tempfile::tempfile().map_err(failed)?;
    for chunk in rows {
        file.write_all(&chunk?).map_err(failed)?;
    }
    file.rewind().map_err(failed)?;
    Ok(iter::from_fn(move || {
        let mut chunk = vec![0; CHUNK_BYTES];
        match file.read(&mut chunk) {
            Ok(0) => None,
            Ok(count) => {
                chunk.truncate(count);
                Some(Ok(chunk))
            }
            Err(cause) => Some(Err(failed(cause))),
        }
    }))
}
