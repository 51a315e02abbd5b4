//! The guard's triggers on a sharded table: makes and checks them. The functions are in `functions.rs`.

use postgres::types::Type;
use postgres::{GenericClient, Row};

use super::functions::{self, guard_name};
use crate::model::table::{ShardingKey, TableName};

/// A trigger as `sql/queries/triggers.sql` makes it.
struct Trigger {
    name: &'static str,
    /// `pg_trigger.tgtype`: 2 before, 4 insert, 8 delete, 16 update, 32 truncate; 1 would be a row trigger.
    kind: i16,
    operation: &'static str,
    /// The names of its transition tables, old and new.
    rows: (Option<&'static str>, Option<&'static str>),
}

const OLD: Option<&str> = Some("old_rows");
const NEW: Option<&str> = Some("new_rows");
const TRIGGERS: [Trigger; 4] = [
    Trigger { name: "ringshard_insert", kind: 4, operation: "insert", rows: (None, NEW) },
    Trigger { name: "ringshard_update", kind: 16, operation: "update", rows: (OLD, NEW) },
    Trigger { name: "ringshard_delete", kind: 8, operation: "delete", rows: (OLD, None) },
    Trigger { name: "ringshard_truncate", kind: 34, operation: "truncate", rows: (None, None) },
];

/// Installs the guard on a table, with its functions, unless it is there; returns whether it was. Without the table it does nothing.
/// If a trigger is created, the table stays locked for writers until the commit.
pub(crate) fn install(
    client: &mut impl GenericClient,
    table: &TableName,
    key: &ShardingKey,
) -> Result<bool, postgres::Error> {
    for text in functions::guards(&key.column) {
        client.batch_execute(&text)?;
    }
    let exists = "SELECT pg_catalog.to_regclass($1) IS NOT NULL";
    let exists: bool = client.query_typed_one(exists, &[(&table.as_sql(), Type::TEXT)])?.get(0);
    let is_guarded = !exists || faults(client, table, key)?.is_empty();
    if !is_guarded {
        client.batch_execute(&create(table, key))?;
    }
    Ok(is_guarded)
}

/// The statements that create the triggers on a table.
fn create(table: &TableName, key: &ShardingKey) -> String {
    // The default of the function, so that triggers of older versions stay as they are.
    let argument = if key.column == functions::USERS_KEY {
        String::new()
    } else {
        format!("'{}'", key.column.replace('\'', "''"))
    };
    let text = ["insert", "update", "delete"].into_iter().fold(
        include_str!("../../../sql/queries/triggers.sql").to_owned(),
        |text, operation| {
            text.replace(&format!("GUARD_{}", operation.to_uppercase()), &guard_name(operation, &key.column))
        },
    );
    // Last and at once, as both names may be anything.
    let parts = text.split("SHARDED_TABLE").map(|part| part.replace("(KEY)", &format!("({argument})")));
    parts.collect::<Vec<_>>().join(table.as_sql())
}

/// The statements that drop the triggers from a table.
pub(crate) fn drop_all(table: &TableName) -> String {
    TRIGGERS
        .map(|trigger| format!("DROP TRIGGER IF EXISTS {} ON {}", trigger.name, table.as_sql()))
        .join("; ")
}

/// What is wrong with the triggers, such as "`ringshard_insert` is missing"; empty if nothing is.
pub(crate) fn faults(
    client: &mut impl GenericClient,
    table: &TableName,
    key: &ShardingKey,
) -> Result<Vec<String>, postgres::Error> {
    let found = client.query_typed(
        include_str!("../../../sql/queries/trigger_states.sql"),
        &[(&table.as_sql(), Type::TEXT)],
    )?;
    let fault = |trigger: &Trigger| {
        let Some(row) = found.iter().find(|row| row.get::<_, &str>("name") == trigger.name) else {
            return Some("is missing");
        };
        match row.get::<_, &str>("enabled") {
            "A" if is_as_made(trigger, key, row) => None,
            "A" => Some("is different"),
            "D" => Some("is disabled"),
            _ => Some("is not enabled as ALWAYS"),
        }
    };
    Ok(TRIGGERS
        .iter()
        .filter_map(|trigger| fault(trigger).map(|what| format!("`{}` {what}", trigger.name)))
        .collect())
}

fn is_as_made(trigger: &Trigger, key: &ShardingKey, row: &Row) -> bool {
    let function = match trigger.operation {
        "truncate" => "guard_truncate".to_owned(),
        operation => guard_name(operation, &key.column),
    };
    row.get::<_, i16>("kind") == trigger.kind
        && row.get::<_, &str>("schema") == "ringshard"
        && row.get::<_, &str>("function") == function
        && row.get::<_, bool>("has_condition")
        && (row.get("old_rows"), row.get("new_rows")) == trigger.rows
}
