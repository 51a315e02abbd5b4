//! Evaluates what was found of the table `users`: columns, indexes, triggers, and what else decides whether rows can move.
//! Pure.

use super::collect::{Index, ShardedTable, TableColumn};
use super::{INIT, Verdict};
use crate::model::table::{ShardingKey, Table, TableName};
use crate::pg::catalog::inspect::COLUMNS;
use crate::pg::catalog::quoted;
use crate::pg::catalog::relation::{Relation, Unsupported};

pub(super) fn table(columns: &[TableColumn], psql: &dyn Fn(&str) -> String) -> Verdict {
    let mut faults = Vec::new();
    let mut changes = Vec::new();
    for requested in COLUMNS.map(|column| column.trim_end_matches(" primary key")) {
        let (name, of) = requested.split_once(' ').expect("a name and a type");
        match columns.iter().find(|column| column.name == name) {
            None => {
                faults.push(format!("`{name}` is missing"));
                changes.push(format!("ADD COLUMN {name} {of}"));
            }
            Some(found) if found.of != of => {
                faults.push(format!("`{name}` is {} instead of {of}", found.of));
                changes.push(format!("ALTER COLUMN {name} TYPE {of} USING {name}::{of}"));
            }
            Some(_) => {}
        }
    }
    if !faults.is_empty() {
        return Verdict::bad(
            faults.join("; "),
            psql(&format!("ALTER TABLE public.users {}", changes.join(", "))),
        );
    }
    Verdict::good(format!("{} columns", columns.len()))
}

pub(super) fn primary_key(indexes: &[Index], psql: &dyn Fn(&str) -> String) -> Verdict {
    match indexes.iter().find(|index| index.is_primary) {
        Some(index) if index.columns == ["user_id"] => Verdict::good("user_id"),
        Some(index) => {
            // The columns of a key stay NOT NULL when it is dropped.
            let others = index.columns.iter().filter(|column| *column != "user_id");
            let nullable: String =
                others.map(|column| format!(", ALTER COLUMN {} DROP NOT NULL", quoted(column))).collect();
            Verdict::bad(
                index.columns.join(", "),
                psql(&format!(
                    "ALTER TABLE public.users DROP CONSTRAINT {}{nullable}, ADD PRIMARY KEY (user_id)",
                    index.name.rsplit('.').next().unwrap_or_default()
                )),
            )
        }
        None => Verdict::bad("none", psql("ALTER TABLE public.users ADD PRIMARY KEY (user_id)")),
    }
}

/// A sharded table that exists.
pub(super) struct ExistingTable<'a> {
    table: &'a Table,
    key: &'a ShardingKey,
    relation: &'a Relation,
    trigger_faults: &'a [String],
}

impl<'a> ExistingTable<'a> {
    pub(super) fn of(found: &'a ShardedTable) -> Option<Self> {
        let (relation, key) = (found.relation.as_ref()?, found.table.key.as_ref()?);
        Some(Self { table: &found.table, key, relation, trigger_faults: &found.trigger_faults })
    }
}

pub(super) fn relation(found: &ExistingTable<'_>, psql: &dyn Fn(&str) -> String) -> Verdict {
    let ExistingTable { table, key, relation, .. } = found;
    let name = &table.name;
    let alter = |clause: &str| psql(&format!("ALTER TABLE {} {clause}", name.as_sql()));
    let unsupported =
        if table.is_prototype { relation.unsupported_as_prototype() } else { relation.unsupported(name) };
    match (unsupported, relation.key_type.as_deref()) {
        (Some(Unsupported { why, statement: Some(statement) }), _) => Verdict::bad(why, psql(&statement)),
        (Some(Unsupported { why, statement: None }), _) => {
            Verdict::bad(why, format!("make `{name}` an ordinary table with the same rows"))
        }
        (None, None) => Verdict::bad(
            format!("`{name}` has no column `{}`, its sharding key", key.column),
            "restore that database from a backup",
        ),
        (None, Some(of)) if of.parse() != Ok(key.of) => Verdict::bad(
            format!("the sharding key of `{name}` is {of} instead of {}", key.of),
            alter(&format!("ALTER COLUMN {} TYPE {}", quoted(&key.column), key.of)),
        ),
        (None, Some(_)) if !relation.is_key_not_null => Verdict::bad(
            format!("the sharding key `{}` of `{name}` may be NULL", key.column),
            alter(&format!("ALTER COLUMN {} SET NOT NULL", quoted(&key.column))),
        ),
        (None, Some(_)) if relation.is_partitioned() => Verdict::good("a partitioned table"),
        (None, Some(_)) => Verdict::good("an ordinary table"),
    }
}

pub(super) fn row_security(found: &ExistingTable<'_>) -> Verdict {
    let role = quoted(&found.relation.role);
    if found.relation.has_policies {
        Verdict::bad(
            format!("policies hide rows of `{}` from {role}", found.table.name),
            format!("as a superuser of that server: ALTER ROLE {role} BYPASSRLS"),
        )
    } else {
        Verdict::good(format!("{role} sees all rows"))
    }
}

pub(super) fn unique(found: &ExistingTable<'_>, psql: &dyn Fn(&str) -> String) -> Verdict {
    let accepted = &found.table.unchecked_unique;
    let others: Vec<&str> = found
        .relation
        .unique_indexes
        .iter()
        .filter(|name| !accepted.contains(name))
        .map(String::as_str)
        .collect();
    match others.first() {
        None => {
            let columns = found.relation.numbered_columns.iter().map(|numbered| numbered.column.as_str());
            let columns: Vec<&str> = columns.collect();
            Verdict::good(if columns.is_empty() {
                "only with the key".to_owned()
            } else {
                let (columns, table) = (columns.join("`, `"), &found.table.name);
                format!("each shard numbers `{columns}` of `{table}` for itself")
            })
        }
        Some(first) => Verdict::bad(
            format!("unique on its own shard only, so a move can fail: {}", others.join(", ")),
            format!(
                "drop a constraint by ALTER TABLE … DROP CONSTRAINT, an index by {}",
                psql(&format!("DROP INDEX {first}"))
            ),
        ),
    }
}

pub(super) fn side_effects(effects: &[String]) -> Verdict {
    if effects.is_empty() {
        return Verdict::good("a move fires nothing");
    }
    Verdict::bad(
        format!("a move of rows would fire or break {}", effects.join(", ")),
        "drop the foreign key or the rule; ALTER TABLE public.users DISABLE TRIGGER …, or connect as a superuser, for \
         whom triggers are suppressed",
    )
}

pub(super) fn region_index(indexes: &[Index]) -> Verdict {
    let is_fit = |index: &&Index| {
        index.is_valid && !index.is_partial && index.columns.first().is_some_and(|first| first == "region")
    };
    indexes.iter().find(is_fit).map_or_else(|| Verdict::bad("none", INIT), |index| Verdict::good(&index.name))
}

pub(super) fn triggers(found: &ExistingTable<'_>) -> Verdict {
    let faults = found.trigger_faults.join("; ");
    match () {
        () if faults.is_empty() => Verdict::good("all"),
        () if found.table.name == TableName::users() => Verdict::bad(faults, INIT),
        () => Verdict::bad(format!("of `{}`: {faults}", found.table.name), INIT),
    }
}
