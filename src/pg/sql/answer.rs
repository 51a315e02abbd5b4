//! What is asked of `sql` and answered, and what is known of a statement by its first word.

use postgres::SimpleQueryMessage;
use sqlparser::ast::{Query, Statement, Visit as _};

use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::model::report::Cell;
use crate::model::sql;
use crate::model::sql::calls::FunctionNames;
use crate::pg::net::session::{OneLine, Session};
use crate::pg::scan::snapshot::Missing;
use crate::pg::scan::sql::{StatementColumn, cell, columns_of, types_of};

/// What is asked.
#[derive(Debug, Clone, Default)]
pub struct Request<'a> {
    /// One statement.
    pub sql: &'a str,
    /// The key that it is about, whatever its text says.
    pub key: Option<&'a str>,
    /// Each of these shards answers by itself; empty: not so.
    pub per_shard: Vec<ShardName>,
    /// How many rows may be copied to one shard, for a statement that cannot be split.
    pub gather: Option<u64>,
    /// It writes on all shards.
    pub all_shards: bool,
    /// Shards that do not answer are left out.
    pub allow_partial: bool,
}

/// The rows of an answer; each with its shard, if they are shown by shard.
pub type AnswerRows = Box<dyn Iterator<Item = Result<(Option<ShardName>, Vec<Cell>)>>>;

/// The answer.
pub struct Answer {
    /// Its columns.
    pub columns: Vec<StatementColumn>,
    /// Whether each row is that of one shard.
    pub is_per_shard: bool,
    /// The rows.
    pub rows: AnswerRows,
    /// What is missing.
    pub missing: Missing,
    /// What a statement that writes has done, as psql says it.
    pub done: Option<String>,
}

/// Columns and rows.
pub(super) type Table = (Vec<StatementColumn>, Vec<Vec<Cell>>);

macro_rules! settings_to_write {
    () => {
        "SET LOCAL row_security = off; \
         SELECT pg_catalog.set_config('synchronous_commit', 'on', true) \
         WHERE pg_catalog.current_setting('synchronous_commit') IN ('off', 'local')"
    };
}

/// Follows the BEGIN of a transaction for statements that write: durable, whatever the server's default.
pub(super) const SETTINGS_TO_WRITE: &str = settings_to_write!();
/// Begins such a transaction.
pub(crate) const BEGIN_TO_WRITE: &str =
    concat!("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; ", settings_to_write!());

/// Runs a statement in an open transaction; with the number of rows of its command tag.
pub(super) fn executed(session: &mut Session, sql: &str) -> Result<(Table, u64), postgres::Error> {
    log::debug!("Executing: {}", OneLine(sql));
    let statement = session.prepare(sql)?;
    let columns = columns_of(&statement);
    let types = types_of(&statement);
    let (mut rows, mut count) = (Vec::new(), 0);
    for message in session.client().simple_query(sql)? {
        match message {
            SimpleQueryMessage::Row(row) => {
                let cells =
                    types.iter().enumerate().map(|(at, of)| cell(row.get(at).map(ToOwned::to_owned), of));
                rows.push(cells.collect());
            }
            SimpleQueryMessage::CommandComplete(rows) => count = rows,
            _ => {}
        }
    }
    Ok(((columns, rows), count))
}

/// The command tag, as psql says it.
pub(super) fn command_tag(sql: &str, count: u64) -> String {
    let verb = first_word(sql).to_ascii_uppercase();
    let zero = if verb == "INSERT" { " 0" } else { "" };
    format!("{verb}{zero} {count}")
}

impl Answer {
    /// An answer without rows.
    pub fn said(done: &str) -> Self {
        in_memory(Vec::new(), Vec::new(), Some(done.to_owned()))
    }
}

/// Whether a statement may change something, but by a function that it calls.
pub(super) fn writes(statement: &Statement) -> bool {
    match statement {
        Statement::Query(query) => sql::writes::changes_rows(query),
        Statement::Explain { analyze, statement, .. } => *analyze && writes(statement),
        Statement::ExplainTable { .. } | Statement::ShowVariable { .. } | Statement::ShowVariables { .. } => {
            false
        }
        _ => true,
    }
}

/// Fails for a statement that changes anything but rows of one table.
pub(super) fn check_changes_rows(sql: &str, statement: Option<&Statement>) -> Result<()> {
    let changes = match statement {
        Some(statement) => {
            matches!(statement, Statement::Insert(_) | Statement::Update(_) | Statement::Delete(_))
        }
        None => ["insert", "update", "delete", "merge"].contains(&first_word(sql).as_str()),
    };
    if changes {
        return Ok(());
    }
    Err(Error::new(Kind::Usage, "the statement neither reads nor changes rows of one table").hint(
        "ringshard help schema apply shows how tables are changed on all shards; psql runs anything on one",
    ))
}

/// Whether a statement that the parser does not know reads, by its first word.
pub(super) fn begins_as_query(sql: &str) -> bool {
    ["select", "with", "values", "table", "explain", "show"].contains(&first_word(sql).as_str())
}

/// In lower case.
pub(super) fn first_word(sql: &str) -> String {
    let begin = sql.trim_start_matches(['(', ' ', '\n', '\t']);
    begin.chars().take_while(char::is_ascii_alphabetic).collect::<String>().to_ascii_lowercase()
}

/// The names of the functions in a query.
pub(super) fn functions_in(query: &Query) -> Vec<String> {
    let mut names = FunctionNames::default();
    let _ = query.visit(&mut names);
    names.0.into_iter().collect()
}

/// The columns of the steps of an EXPLAIN.
pub(super) fn steps(rows: Vec<[String; 3]>) -> Answer {
    let column = |name: &str| StatementColumn { name: name.into(), is_number: false };
    let rows = rows.into_iter().map(|row| row.into_iter().map(Cell::from).collect());
    in_memory(["step", "shard", "plan"].map(column).into(), rows.collect(), None)
}

/// An answer in memory.
pub(super) fn in_memory(columns: Vec<StatementColumn>, rows: Vec<Vec<Cell>>, done: Option<String>) -> Answer {
    let rows = rows.into_iter().map(|row| Ok((None, row)));
    Answer { columns, is_per_shard: false, rows: Box::new(rows), missing: Missing::default(), done }
}
