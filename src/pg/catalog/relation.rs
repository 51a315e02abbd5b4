//! What a sharded table is: whether its rows can be stored safely, and moved.

use postgres::types::Type;
use postgres::{GenericClient, Row};

use crate::model::table::TableName;

/// The table of one shard. `sql/queries/relation.sql` reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "a table has a property or not")]
pub(crate) struct Relation {
    /// `pg_class.relkind` and `relpersistence`.
    kind: String,
    persistence: String,
    is_inherited: bool,
    /// Columns whose values Postgres makes itself.
    generated: Vec<String>,
    is_key_deferrable: bool,
    rules: Vec<String>,
    /// Unique indexes and exclusion constraints without the sharding key.
    pub(crate) unique_indexes: Vec<String>,
    /// The type of the sharding key; `None` if there is no such column.
    pub(crate) key_type: Option<String>,
    pub(crate) is_key_not_null: bool,
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
    pub(crate) fn read(
        client: &mut impl GenericClient,
        table: &TableName,
        key_column: &str,
    ) -> Result<Option<Self>, postgres::Error> {
        let row = client.query_typed_opt(
            include_str!("../../../sql/queries/relation.sql"),
            &[(&table.as_sql(), Type::TEXT), (&key_column, Type::TEXT)],
        )?;
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
            key_type: row.get("key_type"),
            is_key_not_null: row.get("is_key_not_null"),
            has_policies: row.get("has_policies"),
            role: row.get("role"),
            definition: row.get("definition"),
        }
    }

    /// Why the commands about users cannot write this table, which has their columns, if so.
    pub(crate) fn unsupported_as_prototype(&self) -> Option<Unsupported> {
        let why = format!("Postgres makes the values of {}", self.generated.join(", "));
        let generated = (!self.generated.is_empty()).then_some(Unsupported { why, clause: None });
        self.unsupported(&TableName::users()).or(generated)
    }

    /// Why the rows of this table cannot be stored and moved safely, if so.
    pub(crate) fn unsupported(&self, table: &TableName) -> Option<Unsupported> {
        let because = |why: String, clause| Some(Unsupported { why, clause });
        let kind = match self.kind.as_str() {
            "r" => None,
            "p" => Some("a partitioned table"),
            "v" | "m" => Some("a view"),
            "f" => Some("a foreign table"),
            _ => Some("not a table"),
        };
        if let Some(kind) = kind {
            return because(format!("`{table}` is {kind}"), None);
        }
        if self.persistence != "p" {
            return because(format!("`{table}` is unlogged: a crash would empty it"), Some("SET LOGGED"));
        }
        if self.is_inherited {
            return because(
                format!("`{table}` has a parent or child table, whose rows are not apart from its own"),
                None,
            );
        }
        if self.is_key_deferrable {
            return because(format!("the primary key of `{table}` is deferrable"), None);
        }
        if !self.rules.is_empty() {
            return because(format!("`{table}` has a rule: {}", self.rules.join(", ")), None);
        }
        None
    }
}
