//! The guard's triggers on a sharded table: makes and checks them. The functions are in `functions.rs`.

use std::collections::{BTreeMap, BTreeSet};

use postgres::types::Type;
use postgres::{GenericClient, Row};

use super::functions::{self, guard_name};
use crate::model::table::{ShardingKey, TableName};

/// A trigger of the guard.
#[derive(Debug)]
struct Trigger {
    name: &'static str,
    /// `pg_trigger.tgtype`: 1 for each row, 2 before, 4 insert, 8 delete, 16 update, 32 truncate.
    kind: i16,
    event: &'static str,
    operation: &'static str,
    /// The names of its transition tables, old and new.
    rows: (Option<&'static str>, Option<&'static str>),
}

const OLD: Option<&str> = Some("old_rows");
const NEW: Option<&str> = Some("new_rows");
/// Those of an ordinary table: statement triggers, so that a COPY of a million rows costs one call.
const TRIGGERS: [Trigger; 4] = [
    Trigger {
        name: "ringshard_insert",
        kind: 4,
        event: "AFTER INSERT",
        operation: "insert",
        rows: (None, NEW),
    },
    Trigger {
        name: "ringshard_update",
        kind: 16,
        event: "AFTER UPDATE",
        operation: "update",
        rows: (OLD, NEW),
    },
    Trigger {
        name: "ringshard_delete",
        kind: 8,
        event: "AFTER DELETE",
        operation: "delete",
        rows: (OLD, None),
    },
    TRUNCATE,
];
const TRUNCATE: Trigger = Trigger {
    name: "ringshard_truncate",
    kind: 34,
    event: "BEFORE TRUNCATE",
    operation: "truncate",
    rows: (None, None),
};
/// Those of a partitioned table and of each partition: Postgres clones a row trigger to partitions, also to later ones, but none for
/// TRUNCATE.
const PARTITIONED: [Trigger; 2] = [
    Trigger {
        name: "ringshard_row",
        kind: 29,
        event: "AFTER INSERT OR UPDATE OR DELETE",
        operation: "row",
        rows: (None, None),
    },
    TRUNCATE,
];

/// A sharded table, or a partition of one at any level.
#[derive(Debug)]
struct Part {
    name: TableName,
    /// Whether the triggers are those of a partitioned table.
    is_of_partitioned: bool,
}

/// A trigger that is not as it should be.
struct Fault {
    part: TableName,
    trigger: &'static Trigger,
    what: &'static str,
}

/// Installs the guard on a table and its partitions, with its functions, unless it is there; returns whether it was. Without the
/// table it does nothing. If a trigger is created, its table stays locked for writers until the commit.
pub(crate) fn install(
    client: &mut impl GenericClient,
    table: &TableName,
    key: &ShardingKey,
) -> Result<bool, postgres::Error> {
    for text in functions::guards(&key.column) {
        client.batch_execute(&text)?;
    }
    let faults = examine(client, table, key)?;
    // One clone that is not as it should be is made anew with all others.
    let statements: BTreeSet<String> = faults.iter().map(|fault| fault.repair(table, key)).collect();
    for statement in &statements {
        client.batch_execute(statement)?;
    }
    Ok(statements.is_empty())
}

/// Completes the guard of partitions that are new.
pub(crate) fn guard_partitions(
    client: &mut impl GenericClient,
    table: &TableName,
    key: &ShardingKey,
) -> Result<(), postgres::Error> {
    let faults = examine(client, table, key)?;
    for fault in faults.iter().filter(|fault| fault.part != *table && fault.what == MISSING) {
        client.batch_execute(&fault.repair(table, key))?;
    }
    Ok(())
}

impl Fault {
    /// The statements that make the trigger. ENABLE ALWAYS, so that `session_replication_role` does not disable it. The condition is
    /// in the trigger and not in the function, as that is cheaper.
    fn repair(&self, table: &TableName, key: &ShardingKey) -> String {
        let Trigger { name, event, operation, rows, .. } = self.trigger;
        let is_row = *operation == "row";
        let table = if is_row { table } else { &self.part }.as_sql();
        let rows = [("OLD", rows.0), ("NEW", rows.1)];
        let rows =
            rows.map(|(of, name)| name.map(|name| format!("{of} TABLE AS {name} ")).unwrap_or_default());
        let referencing = if rows.concat().is_empty() { "" } else { "REFERENCING " };
        // Without an argument it is the default of the function, so that triggers of older versions stay as they are.
        let argument = match (*operation, key.column.as_str()) {
            ("truncate", column) if column != functions::USERS_KEY => {
                format!("'{}'", column.replace('\'', "''"))
            }
            _ => String::new(),
        };
        format!(
            "CREATE OR REPLACE TRIGGER {name} {event} ON {table} {referencing}{} FOR EACH {} \
             WHEN (pg_catalog.current_setting('ringshard.guard', true) IS DISTINCT FROM 'checked') \
             EXECUTE FUNCTION ringshard.{}({argument}); \
             ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}",
            rows.concat(),
            if is_row { "ROW" } else { "STATEMENT" },
            self.trigger.function(key),
        )
    }
}

/// A table and its partitions, in an order that begins with the table; none if it does not exist.
fn parts(client: &mut impl GenericClient, table: &TableName) -> Result<Vec<Part>, postgres::Error> {
    let sql = include_str!("../../../sql/queries/partitions.sql");
    let rows = client.query_typed(sql, &[(&table.as_sql(), Type::TEXT)])?;
    let part = |(at, row): (usize, &Row)| Part {
        name: TableName::new(row.get::<_, String>("name")),
        is_of_partitioned: at > 0 || row.get("is_partitioned"),
    };
    Ok(rows.iter().enumerate().map(part).collect())
}

/// Drops the triggers from a table and its partitions.
pub(crate) fn drop_all(client: &mut impl GenericClient, table: &TableName) -> Result<(), postgres::Error> {
    for part in parts(client, table)? {
        for trigger in TRIGGERS.iter().chain(&PARTITIONED) {
            client.batch_execute(&format!(
                "DROP TRIGGER IF EXISTS {} ON {}",
                trigger.name,
                part.name.as_sql()
            ))?;
        }
    }
    Ok(())
}

/// What is wrong with the triggers, such as "`ringshard_insert` is missing"; empty if nothing is.
pub(crate) fn faults(
    client: &mut impl GenericClient,
    table: &TableName,
    key: &ShardingKey,
) -> Result<Vec<String>, postgres::Error> {
    let text = |Fault { part, trigger, what }| match trigger {
        Trigger { name, .. } if part == *table => format!("`{name}` {what}"),
        Trigger { name, .. } => format!("`{name}` of partition `{part}` {what}"),
    };
    Ok(examine(client, table, key)?.into_iter().map(text).collect())
}

const MISSING: &str = "is missing";

fn examine(
    client: &mut impl GenericClient,
    table: &TableName,
    key: &ShardingKey,
) -> Result<Vec<Fault>, postgres::Error> {
    let found = client.query_typed(
        include_str!("../../../sql/queries/trigger_states.sql"),
        &[(&table.as_sql(), Type::TEXT)],
    )?;
    let found: BTreeMap<(&str, &str), &Row> =
        found.iter().map(|row| ((row.get("table_name"), row.get("name")), row)).collect();
    let fault = |part: &TableName, trigger: &Trigger| {
        let Some(row) = found.get(&(part.as_sql(), trigger.name)) else { return Some(MISSING) };
        match row.get::<_, &str>("enabled") {
            "A" if trigger.is_as_made(key, row) => None,
            "A" => Some("is different"),
            "D" => Some("is disabled"),
            _ => Some("is not enabled as ALWAYS"),
        }
    };
    let mut faults = Vec::new();
    for Part { name, is_of_partitioned } in parts(client, table)? {
        let expected: &'static [Trigger] = if is_of_partitioned { &PARTITIONED } else { &TRIGGERS };
        for trigger in expected {
            let what = fault(&name, trigger);
            faults.extend(what.map(|what| Fault { part: name.clone(), trigger, what }));
        }
    }
    Ok(faults)
}

impl Trigger {
    fn function(&self, key: &ShardingKey) -> String {
        match self.operation {
            "truncate" => "guard_truncate".to_owned(),
            operation => guard_name(operation, &key.column),
        }
    }

    fn is_as_made(&self, key: &ShardingKey, row: &Row) -> bool {
        row.get::<_, i16>("kind") == self.kind
            && row.get::<_, &str>("schema") == "ringshard"
            && row.get::<_, &str>("function") == self.function(key)
            && row.get::<_, bool>("has_condition")
            && (row.get("old_rows"), row.get("new_rows")) == self.rows
    }
}
