//! Runs a statement of the user on all shards, read-only, and streams its rows.

use crate::pg::scan::snapshot;
use std::io::BufRead as _;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use postgres::error::SqlState;
use postgres::types::Type;
use postgres::{GenericClient, SimpleQueryMessage, Statement, Transaction};

use super::list::cut_off;
use super::snapshot::{Missing, ShardSnapshot};
use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::model::report::Cell;
use crate::pg::cluster::Cluster;
use crate::pg::net::session;
use crate::pg::net::sqlstate;
use crate::pg::pool::read_routing::ReadIntent;

/// How many rows of a shard may wait.
const ROWS_WAITING: usize = 1_000;

/// Deallocates the statements that the crate `postgres` keeps to look up types, as a pooler gives this backend to others. A
/// statement of the user may return a type that the crate does not know; those of ringshard do not.
pub(crate) const DEALLOCATE: &str = "DO $$ DECLARE name text; BEGIN \
    FOR name IN SELECT statement.name FROM pg_catalog.pg_prepared_statements AS statement \
                WHERE NOT statement.from_sql AND statement.name ~ '^s[0-9]+$' \
    LOOP EXECUTE pg_catalog.format('DEALLOCATE %I', name); END LOOP; END $$";

/// A column of the result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementColumn {
    /// Its name; not unique.
    pub name: String,
    /// Whether it holds numbers.
    pub is_number: bool,
}

/// The results of all shards.
pub struct Answers {
    /// The columns, the same on each shard.
    pub columns: Vec<StatementColumn>,
    /// The rows, shard by shard.
    pub rows: Rows,
    /// The shards that did not answer.
    pub missing: Missing,
}

/// Rows, each with its shard.
pub struct Rows {
    shards: std::vec::IntoIter<RowsOfShard>,
    current: Option<RowsOfShard>,
}

impl Rows {
    /// Those of one shard behind those of another.
    pub(crate) fn of(streams: Vec<RowsOfShard>) -> Self {
        Self { shards: streams.into_iter(), current: None }
    }
}

impl Iterator for Rows {
    type Item = Result<(ShardName, Vec<Cell>)>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((shard, rows)) = &self.current {
                match rows.recv() {
                    // An empty row is the end. A closed channel without it is an incomplete answer.
                    Ok(Ok(row)) if row.is_empty() => {}
                    Ok(row) => return Some(row.map(|row| (shard.clone(), row))),
                    Err(_) => return Some(Err(cut_off(shard))),
                }
            }
            self.current = Some(self.shards.next()?);
        }
    }
}

/// Runs a statement on these shards in parallel, in a snapshot of each.
pub fn run_statement(
    cluster: &Cluster,
    sql: &str,
    shards: &[ShardName],
    allow_partial: bool,
) -> Result<Answers> {
    let sql = sql.trim_end_matches(|c: char| c == ';' || c.is_whitespace());
    let (opened, down) = snapshot::open_parts(cluster, ReadIntent::AllowReplica, shards, allow_partial)?;
    let parts = opened.into_iter().map(|(part, _)| (part, sql.to_owned())).collect();
    let (columns, streams) = run_on_each(parts)?;
    Ok(Answers { columns, rows: Rows::of(streams), missing: Missing { shards: down, gaps: Vec::new() } })
}

/// The rows of a shard as they arrive. An empty row is the end; a channel that is closed without it is an incomplete answer.
pub(crate) type RowsOfShard = (ShardName, Receiver<Result<Vec<Cell>>>);

/// Runs a statement in each of these snapshots. Returns the columns, which are the same on each shard.
pub(crate) fn run_on_each(
    parts: Vec<(ShardSnapshot, String)>,
) -> Result<(Vec<StatementColumn>, Vec<RowsOfShard>)> {
    // Preparing it ensures that it is one statement, and gives its columns before it runs.
    let prepare = |(part, sql): &(ShardSnapshot, String)| {
        let (sql, is_pooled) = (sql.clone(), part.is_pooled);
        part.begin(move |transaction| session::prepare(transaction, is_pooled, &sql, &[]))
    };
    let prepared: Vec<_> = parts.iter().map(prepare).collect();
    let mut ready = Vec::new();
    for ((part, sql), statement) in parts.into_iter().zip(prepared) {
        let statement = statement.answer().map_err(|cause| refused(&part.shard, &cause))?;
        ready.push((part, sql, statement));
    }
    let (first, _, statement) = &ready[0];
    let columns = columns_of(statement);
    if columns.is_empty() {
        return Err(Error::new(Kind::Usage, "the statement returns no rows")
            .hint("ringshard sql \"SELECT count(*) FROM users\""));
    }
    if let Some((other, ..)) = ready.iter().find(|(_, _, statement)| columns_of(statement) != columns) {
        let message = format!("shard `{}` returns other columns than shard `{}`", other.shard, first.shard);
        return Err(Error::new(Kind::Failed, message)
            .hint("--shard NAME reads one shard; ringshard doctor compares the tables")
            .on_shard(&other.shard));
    }
    let mut streams = Vec::new();
    for (part, sql, statement) in ready {
        let (sender, receiver) = sync_channel(ROWS_WAITING);
        streams.push((part.shard.clone(), receiver));
        let (shard, is_pooled) = (part.shard.clone(), part.is_pooled);
        part.spoils.store(is_pooled, Ordering::Relaxed);
        part.run(move |transaction| {
            send_rows(transaction, &shard, &statement, &sql, &sender);
            if is_pooled && let Err(cause) = transaction.batch_execute(DEALLOCATE) {
                log::debug!("Could not deallocate statements on shard {shard}: {cause}");
            }
        });
    }
    Ok((columns, streams))
}

/// Whether the values of a type are shown as numbers.
pub(crate) fn is_number(of: &Type) -> bool {
    [Type::INT2, Type::INT4, Type::INT8, Type::FLOAT4, Type::FLOAT8, Type::NUMERIC, Type::OID].contains(of)
}

/// The columns of a result.
pub(crate) fn columns_of(statement: &Statement) -> Vec<StatementColumn> {
    let columns = statement.columns().iter();
    columns
        .map(|column| StatementColumn {
            name: column.name().to_owned(),
            is_number: is_number(column.type_()),
        })
        .collect()
}

/// Why the rows ended early.
pub(crate) enum Ending {
    Refused(postgres::Error),
    CutOff,
}

impl Ending {
    /// The error for the user.
    pub(crate) fn error(self, shard: &ShardName) -> Error {
        match self {
            Self::Refused(cause) => refused(shard, &cause),
            Self::CutOff => cut_off(shard),
        }
    }
}

impl From<postgres::Error> for Ending {
    fn from(cause: postgres::Error) -> Self {
        Self::Refused(cause)
    }
}

fn send_rows(
    transaction: &mut Transaction<'_>,
    shard: &ShardName,
    statement: &Statement,
    sql: &str,
    out: &SyncSender<Result<Vec<Cell>>>,
) {
    let sent = for_each_row(transaction, &types_of(statement), sql, &mut |row| out.send(Ok(row)).is_ok());
    // An empty row is the end.
    let _ = out.send(sent.map(|()| Vec::new()).map_err(|ending| ending.error(shard)));
}

/// The types of the columns of a result.
pub(crate) fn types_of(statement: &Statement) -> Vec<Type> {
    statement.columns().iter().map(|column| column.type_().clone()).collect()
}

/// Runs a statement with columns of these types, and passes on its rows until one is not taken.
pub(crate) fn for_each_row(
    client: &mut impl GenericClient,
    types: &[Type],
    sql: &str,
    each: &mut impl FnMut(Vec<Cell>) -> bool,
) -> Result<(), Ending> {
    if is_utility(sql) {
        return for_each_short(client, sql, types, each);
    }
    for_each_copied(client, sql, types, each)
}

/// Whether COPY does not support the statement; the results of such statements are short.
fn is_utility(sql: &str) -> bool {
    let word: String = sql.trim_start().chars().take_while(char::is_ascii_alphabetic).collect();
    ["explain", "show"].contains(&word.to_ascii_lowercase().as_str())
}

fn for_each_short(
    client: &mut impl GenericClient,
    sql: &str,
    types: &[Type],
    each: &mut impl FnMut(Vec<Cell>) -> bool,
) -> Result<(), Ending> {
    for message in client.simple_query(sql)? {
        if let SimpleQueryMessage::Row(row) = message {
            let cells = types.iter().enumerate().map(|(at, of)| cell(row.get(at).map(ToOwned::to_owned), of));
            if !each(cells.collect()) {
                break;
            }
        }
    }
    Ok(())
}

/// Streams the rows with COPY, which returns all values as text. The statement was prepared on its own before, so it cannot
/// close the parenthesis.
fn for_each_copied(
    client: &mut impl GenericClient,
    sql: &str,
    types: &[Type],
    each: &mut impl FnMut(Vec<Cell>) -> bool,
) -> Result<(), Ending> {
    let copy = format!("COPY (\n{sql}\n) TO STDOUT");
    let mut reader = client.copy_out(&copy)?;
    let mut line = Vec::new();
    loop {
        line.clear();
        match reader.read_until(b'\n', &mut line) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(cause) => {
                let inner = cause.into_inner().and_then(|inner| inner.downcast::<postgres::Error>().ok());
                return Err(inner.map_or(Ending::CutOff, |inner| Ending::Refused(*inner)));
            }
        }
        let text = String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(&line));
        let fields = text.split('\t').zip(types);
        if !each(fields.map(|(field, of)| cell(unescape(field), of)).collect()) {
            return Ok(());
        }
    }
}

/// A field of COPY's text format; `None` for NULL.
fn unescape(field: &str) -> Option<String> {
    if field == "\\N" {
        return None;
    }
    if !field.contains('\\') {
        return Some(field.to_owned());
    }
    let mut out = String::with_capacity(field.len());
    let mut chars = field.chars();
    while let Some(c) = chars.next() {
        out.push(match c {
            '\\' => match chars.next() {
                Some('b') => '\u{8}',
                Some('f') => '\u{c}',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('t') => '\t',
                Some('v') => '\u{b}',
                Some(c) => c,
                None => '\\',
            },
            c => c,
        });
    }
    Some(out)
}

/// A value, by its text and type.
pub(crate) fn cell(text: Option<String>, of: &Type) -> Cell {
    let Some(text) = text else { return Cell::Null };
    match *of {
        // The output of the type, or its cast to text: `true`.
        Type::BOOL => Cell::Bool(text.starts_with('t')),
        _ if is_number(of) => Cell::Number(text),
        _ => Cell::Text(text),
    }
}

/// The error for a statement of the user.
pub(crate) fn refused(shard: &ShardName, cause: &postgres::Error) -> Error {
    let error = |kind, hint: &str| {
        let message = format!("cannot run the statement on shard `{shard}`: {}", sqlstate::message_of(cause));
        Error::new(kind, message).hint(hint).on_shard(shard)
    };
    match cause.code() {
        // Rights, room, locks and the server's state are no fault of the statement.
        Some(code)
            if code == &SqlState::INSUFFICIENT_PRIVILEGE
                || ["53", "55", "57", "58"].iter().any(|class| code.code().starts_with(class)) =>
        {
            sqlstate::doing("run the statement", shard, cause)
        }
        Some(&SqlState::READ_ONLY_SQL_TRANSACTION) => {
            error(Kind::Usage, "a query only reads; an INSERT, UPDATE or DELETE that names its key writes")
        }
        Some(&SqlState::SYNTAX_ERROR) => error(
            Kind::Failed,
            "use one statement that returns rows: ringshard sql \"SELECT count(*) FROM users\"",
        ),
        Some(&SqlState::UNDEFINED_TABLE | &SqlState::UNDEFINED_COLUMN) => error(
            Kind::Failed,
            "ringshard table list shows the tables, ringshard schema show users the columns of one",
        ),
        Some(_) => error(Kind::Failed, "correct the statement, then run it again"),
        None => sqlstate::doing("run the statement", shard, cause),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_copy_are_read_back() {
        for (field, text) in [
            ("plain", Some("plain")),
            ("", Some("")),
            ("\\N", None),
            ("\\\\N", Some("\\N")),
            ("a\\tb\\nc\\\\d\\r", Some("a\tb\nc\\d\r")),
        ] {
            assert_eq!(unescape(field).as_deref(), text);
        }
    }

    #[test]
    fn statements_without_copy_are_recognized_by_the_first_word() {
        assert!(is_utility(" EXPLAIN SELECT 1") && is_utility("show all"));
        assert!(!is_utility("SELECT 1") && !is_utility("(SELECT 1)") && !is_utility("explained"));
    }
}
