//! The statements about one row of any sharded table whose key is unique: `sql/functions/one_row.sql`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use postgres::Row;
use postgres::types::Type;

use super::errors::not_found;
use super::keyed::{Change, Keyed};
use super::router::Router;
use super::statements::{Expected, GET, ReplyResult, RowOperation, read_by_arcs, write_by_proof};
use crate::error::Result;
use crate::model::report::Cell;
use crate::model::ring::position::Position;
use crate::model::table::TableName;
use crate::pg::net::session::Session;
use crate::pg::scan::sql::{StatementColumn, cell, is_number};

/// What is about `users` in `sql/queries/get_user.sql`, and what stands for it.
const OF_USERS: [(&str, &str); 3] = [
    (
        "users.user_id, users.name, users.region, users.email",
        "own_row.columns, own_row.types, own_row.contents, own_row.is_as_given",
    ),
    (
        "LEFT JOIN public.users ON users.user_id = $2",
        "LEFT JOIN LATERAL ringshard.read_row($2, $3, $4::json) AS own_row ON true",
    ),
    // Any columns will do.
    ("coalesce(meta.topology -> 'tables' @> '[{\"prototype\": true}]', true)", "true"),
];
/// The read of a row. `$1` is its position, `$2` its table, `$3` its key, `$4` the values to compare.
pub(crate) static READ: LazyLock<String> =
    LazyLock::new(|| OF_USERS.iter().fold(GET.to_owned(), |sql, (users, row)| sql.replace(users, row)));
/// A write of a row.
pub(crate) const WRITE: &str = "SELECT answer, epoch, transfer_to, columns, types, contents, is_as_given \
     FROM ringshard.write_row($1, $2, $3, $4, $5, $6, $7, $8::json)";

/// Values to store, as texts; `None` is NULL.
pub type GivenValues = BTreeMap<String, Option<String>>;

/// A row as it is stored.
#[derive(Debug, Clone)]
pub struct StoredRow {
    /// The columns of the table, in their order, and what is in them.
    pub columns: Vec<(StatementColumn, Cell)>,
    /// Whether it has the values that were given.
    pub is_as_given: bool,
}

/// A row of a table, by its key.
#[derive(Debug, Clone)]
pub struct RowKey<'a> {
    table: &'a TableName,
    column: &'a str,
    key: String,
    position: Position,
}

impl<'a> RowKey<'a> {
    /// The row of a table with this key, whose text is as Postgres writes it.
    pub fn new(table: &'a TableName, column: &'a str, key: String) -> Self {
        let position = Position::of_key(&key);
        Self { table, column, key, position }
    }

    /// The text of the key.
    pub fn text(&self) -> &str {
        &self.key
    }

    /// The values of a new row: these, and the key.
    pub(crate) fn with_key(&self, given: &GivenValues) -> GivenValues {
        let key = [(self.column.to_owned(), Some(self.key.clone()))];
        given.clone().into_iter().chain(key).collect()
    }

    /// The parameters that both statements have: table, key, and values.
    pub(crate) fn parameters(&self, given: &GivenValues) -> [String; 3] {
        let given = serde_json::to_string(given).expect("texts are JSON");
        [self.table.as_sql().to_owned(), self.key.clone(), given]
    }
}

/// A row, and the values with which it is compared.
struct Compared<'a> {
    row: &'a RowKey<'a>,
    given: &'a GivenValues,
}

impl Keyed for Compared<'_> {
    type Row = StoredRow;

    fn key(&self) -> String {
        self.row.key.clone()
    }

    fn position(&self) -> Position {
        self.row.position
    }

    fn read(&self, session: &mut Session, expected: Expected<'_>) -> ReplyResult<StoredRow> {
        let parameters = self.row.parameters(self.given);
        let of_row = parameters.each_ref().map(|text| (text as _, Type::TEXT));
        read_by_arcs(session, expected, self.row.position, &READ, &of_row, |row| stored(row, 6))
    }
}

/// A write of a row of any table, which sets the given values.
struct RowWrite<'a> {
    of: Compared<'a>,
    operation: RowOperation,
}

impl<'a> Change for RowWrite<'a> {
    type Of = Compared<'a>;

    fn of(&self) -> &Compared<'a> {
        &self.of
    }

    fn operation(&self) -> RowOperation {
        self.operation
    }

    fn write(&self, session: &mut Session, expected: Expected<'_>) -> ReplyResult<StoredRow> {
        let Compared { row, given } = self.of;
        let given = match self.operation {
            RowOperation::Create => &row.with_key(given),
            RowOperation::Update | RowOperation::Delete => given,
        };
        let parameters = row.parameters(given);
        let of_row = parameters.each_ref().map(|text| (text as _, Type::TEXT));
        write_by_proof(session, expected, self.operation, WRITE, &of_row, |row| stored(row, 3))
    }

    fn is_done(&self, found: Option<&StoredRow>) -> bool {
        match self.operation {
            RowOperation::Delete => found.is_none(),
            RowOperation::Create | RowOperation::Update => found.is_some_and(|row| row.is_as_given),
        }
    }

    fn flags(&self) -> String {
        let flag = |(column, value): (&String, &Option<String>)| {
            Some(format!(" --set {}", shlex::try_quote(&format!("{column}={}", value.as_ref()?)).ok()?))
        };
        self.of.given.iter().filter_map(flag).collect()
    }
}

impl Router<'_> {
    /// As [`Router::get_user`], for a user in a table of any columns.
    pub fn get_row(&self, row: &RowKey<'_>) -> Result<StoredRow> {
        let (found, shard) = self.find(&Compared { row, given: &GivenValues::new() })?;
        found.ok_or_else(|| not_found(row.text(), &shard))
    }

    /// As [`Router::create_user`].
    pub fn create_row(&self, row: &RowKey<'_>, given: &GivenValues) -> Result<StoredRow> {
        log::info!("Received request to create user: {}", row.text());
        self.put(&RowWrite { of: Compared { row, given }, operation: RowOperation::Create })
            .map(|(stored, _)| stored)
    }

    /// As [`Router::update_user`].
    pub fn update_row(&self, row: &RowKey<'_>, given: &GivenValues) -> Result<StoredRow> {
        log::info!("Received request to update user: {}", row.text());
        self.put(&RowWrite { of: Compared { row, given }, operation: RowOperation::Update })
            .map(|(stored, _)| stored)
    }

    /// As [`Router::delete_user`].
    pub fn delete_row(&self, row: &RowKey<'_>) -> Result<Option<StoredRow>> {
        let given = &GivenValues::new();
        self.delete(&RowWrite { of: Compared { row, given }, operation: RowOperation::Delete })
            .map(|(deleted, _)| deleted)
    }
}

/// The row in the four columns from `at`, if there is one.
fn stored(row: &Row, at: usize) -> std::result::Result<Option<StoredRow>, postgres::Error> {
    let Some(contents) = row.try_get::<_, Option<Vec<Option<String>>>>(at + 2)? else { return Ok(None) };
    let (names, types) = (row.try_get::<_, Vec<String>>(at)?, row.try_get::<_, Vec<u32>>(at + 1)?);
    let of = |((name, oid), text): ((String, u32), Option<String>)| {
        let of = Type::from_oid(oid).unwrap_or(Type::TEXT);
        (StatementColumn { name, is_number: is_number(&of) }, cell(text, &of))
    };
    let columns = names.into_iter().zip(types).zip(contents).map(of).collect();
    Ok(Some(StoredRow { columns, is_as_given: row.try_get(at + 3)? }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_read_of_a_row_is_that_of_a_user_with_another_table() {
        assert!(OF_USERS.iter().all(|(users, row)| GET.matches(users).count() == 1 && READ.contains(row)));
        assert!(!READ.contains("users."), "{}", *READ);
    }
}
