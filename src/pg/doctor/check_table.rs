//! Evaluates what was found of the table `users`: columns, indexes, triggers, and what else decides whether rows can move.
//! Pure.

use super::collect::{Index, TableColumn};
use super::{INIT, Verdict, quoted};
use crate::pg::catalog::install::COLUMNS;
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
    let known = |name: &str| COLUMNS.iter().any(|column| column.split(' ').next() == Some(name));
    match columns.iter().find(|column| !known(&column.name)) {
        Some(other) => Verdict::bad(
            format!("ringshard does not know `{}`, and would not move it with a user", other.name),
            format!(
                "move it to another table, then {}",
                psql(&format!("ALTER TABLE public.users DROP COLUMN {}", quoted(&other.name)))
            ),
        ),
        None => Verdict::good(format!("{} columns", columns.len())),
    }
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

pub(super) fn relation(found: &Relation, psql: &dyn Fn(&str) -> String) -> Verdict {
    match found.unsupported() {
        None => Verdict::good("an ordinary table"),
        Some(Unsupported { why, clause: Some(clause) }) => {
            Verdict::bad(why, psql(&format!("ALTER TABLE public.users {clause}")))
        }
        Some(Unsupported { why, clause: None }) => {
            Verdict::bad(why, "make `users` an ordinary table with the same rows")
        }
    }
}

pub(super) fn row_security(found: &Relation) -> Verdict {
    let role = quoted(&found.role);
    if found.has_policies {
        Verdict::bad(
            format!("policies hide rows of `users` from {role}"),
            format!("as a superuser of that server: ALTER ROLE {role} BYPASSRLS"),
        )
    } else {
        Verdict::good(format!("{role} sees all rows"))
    }
}

pub(super) fn unique(found: &Relation, psql: &dyn Fn(&str) -> String) -> Verdict {
    match found.unique_indexes.first() {
        None => Verdict::good("only the key"),
        Some(first) => Verdict::bad(
            format!("unique on its own shard only, so a move can fail: {}", found.unique_indexes.join(", ")),
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

pub(super) fn triggers(faults: &[String]) -> Verdict {
    if faults.is_empty() { Verdict::good("all four") } else { Verdict::bad(faults.join("; "), INIT) }
}
