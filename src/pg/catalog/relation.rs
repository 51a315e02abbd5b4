//! What a sharded table is: whether its rows can be stored safely, and moved.

use postgres::types::{Json, Type};
use postgres::{GenericClient, Row};
use serde::Deserialize;

use crate::model::table::TableName;

/// The table of one shard. `sql/queries/relation.sql` reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "a table has a property or not")]
pub(crate) struct Relation {
    /// `pg_class.relkind`.
    kind: String,
    /// It or a partition of it that is unlogged or temporary, quoted.
    unlogged: Option<String>,
    /// A partition of it that is on another server.
    foreign_partition: Option<TableName>,
    is_inherited: bool,
    /// The table that it is a partition of, perhaps over several levels.
    pub(crate) partition_of: Option<TableName>,
    /// Columns whose values Postgres makes itself.
    generated: Vec<String>,
    is_key_deferrable: bool,
    rules: Vec<String>,
    /// Unique indexes and exclusion constraints without the sharding key.
    pub(crate) unique_indexes: Vec<String>,
    /// Columns of any unique indexes that have a sequence of this shard alone.
    pub(crate) numbered_columns: Vec<NumberedColumn>,
    /// The type of the sharding key; `None` if there is no such column.
    pub(crate) key_type: Option<String>,
    pub(crate) is_key_not_null: bool,
    /// Whether policies apply to this role.
    pub(crate) has_policies: bool,
    pub(crate) role: String,
    /// What decides which rows it accepts.
    pub(crate) definition: Vec<String>,
}

/// A column of a unique index that a sequence of one shard numbers, so that other shards give out the same values.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct NumberedColumn {
    /// Its name, quoted.
    pub(crate) column: String,
    /// Whether it is the sharding key.
    pub(crate) is_key: bool,
    /// Whether the sharding key is a part of each of these indexes.
    pub(crate) is_with_key: bool,
    /// The clauses of ALTER TABLE that make its values unique over all shards, if any do.
    pub(crate) clause: Option<String>,
}

impl NumberedColumn {
    /// What comes of it.
    pub(crate) fn consequence(&self) -> &'static str {
        match (self.is_key, self.is_with_key) {
            (true, _) => "and refuses most of these keys, as they belong to other shards",
            (false, true) => "so the rows of a key that has moved get values there that they already have",
            (false, false) => "so shards will have equal values, and rows with them cannot move to one shard",
        }
    }
}

/// Why ringshard cannot keep rows in a table, and the statement that mends it, if there is one.
pub(crate) struct Unsupported {
    pub(crate) why: String,
    pub(crate) statement: Option<String>,
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
            unlogged: row.get("unlogged"),
            foreign_partition: row.get::<_, Option<String>>("foreign_partition").map(TableName::new),
            partition_of: row.get::<_, Option<String>>("partition_of").map(TableName::new),
            is_inherited: row.get("is_inherited"),
            generated: row.get("generated"),
            is_key_deferrable: row.get("is_key_deferrable"),
            rules: row.get("rules"),
            unique_indexes: row.get("unique_indexes"),
            // The query builds it.
            numbered_columns: row.get::<_, Json<Vec<NumberedColumn>>>("numbered_columns").0,
            key_type: row.get("key_type"),
            is_key_not_null: row.get("is_key_not_null"),
            has_policies: row.get("has_policies"),
            role: row.get("role"),
            definition: row.get("definition"),
        }
    }

    /// Why the commands about users cannot write this table, which has their columns, if so.
    pub(crate) fn unsupported_as_prototype(&self) -> Option<Unsupported> {
        let because = |why: String| Some(Unsupported { why, statement: None });
        self.unsupported(&TableName::users()).or_else(|| match &self.generated[..] {
            _ if self.is_partitioned() => because("`users` is a partitioned table".into()),
            [] => None,
            generated => because(format!("Postgres makes the values of {}", generated.join(", "))),
        })
    }

    /// Whether its rows are in partitions.
    pub(crate) fn is_partitioned(&self) -> bool {
        self.kind == "p"
    }

    /// Why the rows of this table cannot be stored and moved safely, if so.
    pub(crate) fn unsupported(&self, table: &TableName) -> Option<Unsupported> {
        let because = |why: String| Some(Unsupported { why, statement: None });
        let kind = match self.kind.as_str() {
            "r" | "p" => None,
            "v" | "m" => Some("a view"),
            "f" => Some("a foreign table"),
            _ => Some("not a table"),
        };
        if let Some(kind) = kind {
            return because(format!("`{table}` is {kind}"));
        }
        if let Some(unlogged) = &self.unlogged {
            return Some(Unsupported {
                why: format!("`{}` is unlogged: a crash would empty it", TableName::new(unlogged)),
                statement: Some(format!("ALTER TABLE {unlogged} SET LOGGED")),
            });
        }
        if let Some(partition) = &self.foreign_partition {
            return because(format!("its partition `{partition}` is a foreign table"));
        }
        if let Some(parent) = &self.partition_of {
            return because(format!("`{table}` is a partition of `{parent}`"));
        }
        if self.is_inherited {
            return because(format!(
                "`{table}` has a parent or child table, whose rows are not apart from its own"
            ));
        }
        if self.is_key_deferrable {
            return because(format!("the primary key of `{table}` is deferrable"));
        }
        let first = self.rules.first()?;
        Some(Unsupported {
            why: format!("`{table}` has a rule: {}", self.rules.join(", ")),
            statement: Some(format!("DROP RULE {first} ON {}", table.as_sql())),
        })
    }
}
