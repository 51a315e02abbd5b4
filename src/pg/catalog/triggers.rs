//! Checks the guard's triggers on `users`. It makes none: the functions are in `functions.rs`, the triggers in
//! `sql/queries/triggers.sql`.

use postgres::{GenericClient, Row};

/// A trigger as `sql/queries/triggers.sql` makes it.
struct Trigger {
    name: &'static str,
    /// `pg_trigger.tgtype`: 2 before, 4 insert, 8 delete, 16 update, 32 truncate; 1 would be a row trigger.
    kind: i16,
    function: &'static str,
    /// The names of its transition tables, old and new.
    rows: (Option<&'static str>, Option<&'static str>),
}

const OLD: Option<&str> = Some("old_rows");
const NEW: Option<&str> = Some("new_rows");
const TRIGGERS: [Trigger; 4] = [
    Trigger { name: "ringshard_insert", kind: 4, function: "guard_insert", rows: (None, NEW) },
    Trigger { name: "ringshard_update", kind: 16, function: "guard_update", rows: (OLD, NEW) },
    Trigger { name: "ringshard_delete", kind: 8, function: "guard_delete", rows: (OLD, None) },
    Trigger { name: "ringshard_truncate", kind: 34, function: "guard_truncate", rows: (None, None) },
];

/// What is wrong with the triggers, such as "`ringshard_insert` is missing"; empty if nothing is.
pub(crate) fn faults(client: &mut impl GenericClient) -> Result<Vec<String>, postgres::Error> {
    let found = client.query_typed(include_str!("../../../sql/queries/trigger_states.sql"), &[])?;
    let fault = |trigger: &Trigger| {
        let Some(row) = found.iter().find(|row| row.get::<_, &str>("name") == trigger.name) else {
            return Some("is missing");
        };
        match row.get::<_, &str>("enabled") {
            "A" if is_as_made(trigger, row) => None,
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

fn is_as_made(trigger: &Trigger, row: &Row) -> bool {
    row.get::<_, i16>("kind") == trigger.kind
        && row.get::<_, &str>("schema") == "ringshard"
        && row.get::<_, &str>("function") == trigger.function
        && row.get::<_, bool>("has_condition")
        && (row.get("old_rows"), row.get("new_rows")) == trigger.rows
}
