//! What the table `users` is besides its columns: whether its rows can be stored safely, and moved.

use postgres::{GenericClient, Row};

/// The table of one shard. `sql/queries/relation.sql` reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Relation {
    /// `pg_class.relkind` and `relpersistence`.
    kind: String,
    persistence: String,
    is_inherited: bool,
    /// Columns whose values Postgres makes itself.
    generated: Vec<String>,
    is_key_deferrable: bool,
    rules: Vec<String>,
    /// Unique indexes and exclusion constraints besides the primary key.
    pub(crate) unique_indexes: Vec<String>,
    /// Whether policies apply to this role.
    pub(crate) has_policies: bool,
    pub(crate) role: String,
    /// What decides which rows it accepts.
    pub(crate) definition: Vec<String>,
}

/// Why ringshard cannot keep rows in a table, and the clause of ALTER TABLE that mends it, if there is one.
pub(crate) struct Unsupported {
    pub(crate) why: String,
    pub(crate) clause: Option<&'static str>,
}

impl Relation {
    /// Reads the table; `None` if there is none.
    pub(crate) fn read(client: &mut impl GenericClient) -> Result<Option<Self>, postgres::Error> {
        let row = client.query_typed_opt(include_str!("../../../sql/queries/relation.sql"), &[])?;
        Ok(row.map(|row| Self::of(&row)))
    }

    fn of(row: &Row) -> Self {
        Self {
            kind: row.get("kind"),
            persistence: row.get("persistence"),
            is_inherited: row.get("is_inherited"),
            generated: row.get("generated"),
            is_key_deferrable: row.get("is_key_deferrable"),
            rules: row.get("rules"),
            unique_indexes: row.get("unique_indexes"),
            has_policies: row.get("has_policies"),
            role: row.get("role"),
            definition: row.get("definition"),
        }
    }

    /// Why its rows cannot be stored and moved safely, if so.
    pub(crate) fn unsupported(&self) -> Option<Unsupported> {
        let because = |why: String, clause| Some(Unsupported { why, clause });
        let kind = match self.kind.as_str() {
            "r" => None,
            "p" => Some("a partitioned table"),
            "v" | "m" => Some("a view"),
            "f" => Some("a foreign table"),
            _ => Some("not a table"),
        };
        if let Some(kind) = kind {
            return because(format!("`users` is {kind}"), None);
        }
        if self.persistence != "p" {
            return because("`users` is unlogged: a crash would empty it".into(), Some("SET LOGGED"));
        }
        if self.is_inherited {
            return because(
                "`users` has a parent or child table, whose rows are not apart from its own".into(),
                None,
            );
        }
        if !self.generated.is_empty() {
            return because(format!("Postgres makes the values of {}", self.generated.join(", ")), None);
        }
        if self.is_key_deferrable {
            return because("the primary key of `users` is deferrable".into(), None);
        }
        if !self.rules.is_empty() {
            return because(format!("`users` has a rule: {}", self.rules.join(", ")), None);
        }
        None
    }
}
