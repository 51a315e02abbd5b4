//! The tables of a cluster: sharded by a key, or the same on every shard.
//!
//! A row of a sharded table lies where the text of its sharding key does, so the rows of all tables with one key lie on one
//! shard.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A table's name with its schema, quoted where necessary, as `format('%I.%I')` of Postgres writes it: `public.orders`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TableName(String);

impl TableName {
    /// The name as Postgres wrote it.
    pub fn new(quoted: impl Into<String>) -> Self {
        Self(quoted.into())
    }

    /// The table of the Python prototype.
    pub fn users() -> Self {
        Self("public.users".into())
    }

    /// With the schema: safe in SQL.
    pub fn as_sql(&self) -> &str {
        &self.0
    }

    /// The schema and the name, not quoted.
    pub fn parts(&self) -> (String, String) {
        // A dot in quotes separates nothing; a quote in quotes is doubled.
        let mut is_quoted = false;
        let is_dot = |(at, c): (usize, char)| {
            is_quoted ^= c == '"';
            (c == '.' && !is_quoted).then_some(at)
        };
        let at = self.0.char_indices().find_map(is_dot).unwrap_or(0);
        let plain = |part: &str| {
            let inner = part.strip_prefix('"').and_then(|part| part.strip_suffix('"'));
            inner.map_or_else(|| part.to_owned(), |inner| inner.replace("\"\"", "\""))
        };
        (plain(&self.0[..at]), plain(self.0[at..].trim_start_matches('.')))
    }
}

/// Without the schema `public`.
impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.strip_prefix("public.").unwrap_or(&self.0))
    }
}

/// The type of a sharding key: one whose text is the same on every server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyType {
    /// 16 bits, in decimal.
    Smallint,
    /// 32 bits, in decimal.
    Integer,
    /// 64 bits, in decimal.
    Bigint,
    /// Any text.
    Text,
    /// A text with a limit.
    Varchar,
    /// In lower case with hyphens.
    Uuid,
}

impl KeyType {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Smallint, Self::Integer, Self::Bigint, Self::Text, Self::Varchar, Self::Uuid];

    /// The text of a key as Postgres writes it; fails with the reason if the text is no value of this type.
    pub fn canonical(self, text: &str) -> Result<String, String> {
        fn number<T: FromStr + fmt::Display>(text: &str) -> Option<String> {
            text.trim().parse::<T>().ok().map(|number| number.to_string())
        }
        let found = match self {
            Self::Smallint => number::<i16>(text),
            Self::Integer => number::<i32>(text),
            Self::Bigint => number::<i64>(text),
            Self::Text | Self::Varchar => Some(text.to_owned()),
            Self::Uuid => number::<Uuid>(text),
        };
        found.ok_or_else(|| format!("the sharding key `{text}` is no {self}"))
    }

    /// The name in SQL, without a limit.
    pub const fn as_sql(self) -> &'static str {
        match self {
            Self::Smallint => "smallint",
            Self::Integer => "integer",
            Self::Bigint => "bigint",
            Self::Text => "text",
            Self::Varchar => "character varying",
            Self::Uuid => "uuid",
        }
    }
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_sql())
    }
}

/// From the name in SQL, perhaps with a limit: `character varying(20)`.
impl FromStr for KeyType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let base = text.split('(').next().unwrap_or_default();
        Self::ALL.into_iter().find(|of| of.as_sql() == base).ok_or_else(|| {
            let all: Vec<&str> = Self::ALL.iter().map(|of| of.as_sql()).collect();
            format!("a sharding key of type {text} is not supported: it may be {}", all.join(", "))
        })
    }
}

/// A table of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Its name.
    pub name: TableName,
    /// What its rows are distributed by; `None` if it is a reference table, the same on every shard.
    #[serde(flatten)]
    pub key: Option<ShardingKey>,
    /// Unique indexes without the key that are accepted, as their values are made unique over all shards by the application.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unchecked_unique: Vec<String>,
    /// Whether it has the columns of the Python prototype's table, which the commands about users read and write.
    #[serde(default, rename = "prototype", skip_serializing_if = "std::ops::Not::not")]
    pub is_prototype: bool,
}

/// The column whose value decides the shard of a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardingKey {
    /// The column, not quoted.
    #[serde(rename = "key")]
    pub column: String,
    /// Its type.
    #[serde(rename = "type")]
    pub of: KeyType,
}

/// The tables of a cluster, sorted by name, each once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tables(Vec<Table>);

/// `users` alone: of a cluster whose topology has no list.
impl Default for Tables {
    fn default() -> Self {
        Self(vec![Table {
            name: TableName::users(),
            key: Some(ShardingKey { column: "user_id".into(), of: KeyType::Bigint }),
            unchecked_unique: Vec::new(),
            is_prototype: true,
        }])
    }
}

impl Tables {
    /// No table.
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// Whether they are those of a topology without a list.
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// All, sorted by name.
    pub fn all(&self) -> &[Table] {
        &self.0
    }

    /// Whether the commands about users have their table.
    pub fn has_prototype(&self) -> bool {
        self.0.iter().any(|table| table.is_prototype)
    }

    /// What a row of them is called: a user, if `users` is the only table.
    pub fn noun(&self) -> &'static str {
        if self.is_default() { "user" } else { "row" }
    }

    /// The sharded ones, with their keys.
    pub fn sharded(&self) -> impl Iterator<Item = (&TableName, &ShardingKey)> {
        self.0.iter().filter_map(|table| Some((&table.name, table.key.as_ref()?)))
    }

    /// The table of this name.
    pub fn get(&self, name: &TableName) -> Option<&Table> {
        self.0.iter().find(|table| table.name == *name)
    }

    /// With this table, which takes the place of one with its name.
    #[must_use]
    pub fn with(&self, table: Table) -> Self {
        let mut tables = self.without(&table.name);
        let at = tables.0.partition_point(|other| other.name < table.name);
        tables.0.insert(at, table);
        tables
    }

    /// Without this table.
    #[must_use]
    pub fn without(&self, name: &TableName) -> Self {
        Self(self.0.iter().filter(|table| table.name != *name).cloned().collect())
    }

    /// Those that `other` lacks.
    pub fn missing_in<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'a Table> {
        self.0.iter().filter(|table| !other.0.contains(table))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_a_schema_and_a_name_without_quotes() {
        for (quoted, schema, name) in [
            ("public.users", "public", "users"),
            (r#""a.b"."c""d""#, "a.b", "c\"d"),
            (r#"shop."Order""#, "shop", "Order"),
        ] {
            assert_eq!(TableName::new(quoted).parts(), (schema.to_owned(), name.to_owned()));
        }
    }

    #[test]
    fn tables_are_written_as_flat_objects_and_read_again() {
        let orders = Table {
            name: TableName::new("public.orders"),
            key: Some(ShardingKey { column: "user_id".into(), of: KeyType::Uuid }),
            unchecked_unique: Vec::new(),
            is_prototype: false,
        };
        let countries = Table { name: TableName::new("shop.\"Countries\""), key: None, ..orders.clone() };
        let tables = Tables::none().with(countries.clone()).with(orders.clone());
        let text = serde_json::to_string(&tables).unwrap();
        assert_eq!(
            text,
            r#"[{"name":"public.orders","key":"user_id","type":"uuid"},{"name":"shop.\"Countries\""}]"#
        );
        assert_eq!(serde_json::from_str::<Tables>(&text).unwrap(), tables);
        assert_eq!(tables.with(orders.clone()), tables);
        assert_eq!(tables.without(&orders.name).missing_in(&tables).count(), 0);
        assert_eq!(tables.missing_in(&tables.without(&orders.name)).collect::<Vec<_>>(), [&orders]);
        assert_eq!(
            (orders.name.to_string(), countries.name.to_string()),
            ("orders".into(), countries.name.0)
        );
    }

    #[test]
    fn types_are_read_as_postgres_writes_them() {
        for of in KeyType::ALL {
            assert_eq!(of.to_string().parse(), Ok(of));
        }
        assert_eq!("character varying(20)".parse(), Ok(KeyType::Varchar));
        assert!("numeric(20,0)".parse::<KeyType>().is_err());
    }
}
