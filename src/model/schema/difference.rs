//! How the schemas of shards differ.

use std::collections::BTreeMap;

use crate::model::names::ShardName;

/// What a shard has: the definition of each object of the cluster's tables.
pub type Definitions = BTreeMap<Object, String>;

/// A table, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Object {
    /// The table.
    pub table: String,
    /// What it is.
    pub kind: ObjectKind,
    /// Its name with the table's, such as `orders.total`.
    pub name: String,
}

/// What an object is, in the order in which they are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ObjectKind {
    /// The table itself.
    Table,
    /// A column: type, collation, NOT NULL, default.
    Column,
    /// The names of its columns, in order.
    ColumnOrder,
    /// A constraint.
    Constraint,
    /// An index that belongs to no constraint.
    Index,
    /// A trigger.
    Trigger,
    /// The owner.
    Owner,
    /// The privileges of one role.
    Grant,
}

impl ObjectKind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Table,
        Self::Column,
        Self::ColumnOrder,
        Self::Constraint,
        Self::Index,
        Self::Trigger,
        Self::Owner,
        Self::Grant,
    ];

    /// Its name, before that of the object.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Column => "column",
            Self::ColumnOrder => "order of columns",
            Self::Constraint => "constraint",
            Self::Index => "index",
            Self::Trigger => "trigger",
            Self::Owner => "owner",
            Self::Grant => "grant",
        }
    }
}

/// An object of a shard that is not as on the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The shard.
    pub shard: ShardName,
    /// The object.
    pub object: Object,
    /// Its definition there; `None` if it is missing.
    pub found: Option<String>,
    /// Its definition on most shards, or on the first of two halves; `None` if it is missing there.
    pub expected: Option<String>,
}

/// The differences, by object and shard. `shards`: in the order that decides between definitions that are equally frequent.
pub fn differences(shards: &[(ShardName, Definitions)]) -> Vec<Difference> {
    let mut objects: Vec<&Object> = shards.iter().flat_map(|(_, definitions)| definitions.keys()).collect();
    objects.sort();
    objects.dedup();
    let mut differences = Vec::new();
    for object in objects {
        let has_table =
            |definitions: &Definitions| definitions.keys().any(|other| other.table == object.table);
        // A table that is missing is told once.
        let found: Vec<(&ShardName, Option<&String>)> = shards
            .iter()
            .filter(|(_, definitions)| object.kind == ObjectKind::Table || has_table(definitions))
            .map(|(shard, definitions)| (shard, definitions.get(object)))
            .collect();
        let expected = most_frequent(found.iter().map(|(_, definition)| *definition));
        for (shard, definition) in found {
            if definition != expected
                && !(object.kind == ObjectKind::ColumnOrder && has_other(definition, expected))
            {
                differences.push(Difference {
                    shard: shard.clone(),
                    object: object.clone(),
                    found: definition.cloned(),
                    expected: expected.cloned(),
                });
            }
        }
    }
    differences
}

/// Each definition of each object, with the shards that have it; the columns of a table in their order.
pub fn by_definition(shards: &[(ShardName, Definitions)]) -> Vec<(&Object, &str, Vec<&ShardName>)> {
    let mut found: Vec<(&Object, &str, Vec<&ShardName>)> = Vec::new();
    for (shard, definitions) in shards {
        for (object, definition) in definitions {
            let known = found.iter_mut().find(|(other, of, _)| (*other, *of) == (object, definition));
            match known {
                Some((_, _, having)) => having.push(shard),
                None => found.push((object, definition, vec![shard])),
            }
        }
    }
    let place = |object: &Object| {
        let order = Object { kind: ObjectKind::ColumnOrder, name: object.table.clone(), ..object.clone() };
        let order = shards.iter().find_map(|(_, definitions)| definitions.get(&order))?;
        let name = object.name.strip_prefix(&object.table)?.strip_prefix('.')?;
        order.split(", ").position(|other| other == name)
    };
    found.sort_by_cached_key(|(object, ..)| {
        let place = if object.kind == ObjectKind::Column { place(object) } else { None };
        (object.table.clone(), object.kind, place.unwrap_or(usize::MAX), object.name.clone())
    });
    found
}

/// The first of the most frequent ones.
fn most_frequent<'a>(found: impl Iterator<Item = Option<&'a String>>) -> Option<&'a String> {
    let all: Vec<Option<&String>> = found.collect();
    let count = |one: Option<&String>| all.iter().filter(|other| **other == one).count();
    // `max_by_key` takes the last one.
    all.iter().rev().copied().max_by_key(|one| count(*one)).flatten()
}

/// Whether two lists of columns have other columns: these are told by name.
fn has_other(found: Option<&String>, expected: Option<&String>) -> bool {
    let sorted = |list: Option<&String>| {
        let mut names: Vec<String> =
            list.into_iter().flat_map(|list| list.split(", ")).map(Into::into).collect();
        names.sort();
        names
    };
    sorted(found) != sorted(expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(number: usize, objects: &[(ObjectKind, &str, &str)]) -> (ShardName, Definitions) {
        let definitions = objects.iter().map(|(kind, name, definition)| {
            (Object { table: "t".into(), kind: *kind, name: (*name).into() }, (*definition).to_owned())
        });
        (format!("s{number}").parse().unwrap(), definitions.collect())
    }

    fn told(shards: &[(ShardName, Definitions)]) -> Vec<(String, String, Option<String>, Option<String>)> {
        differences(shards)
            .into_iter()
            .map(|it| (it.shard.to_string(), it.object.name, it.found, it.expected))
            .collect()
    }

    #[test]
    fn the_definition_of_most_shards_is_expected_and_of_two_halves_the_first() {
        use ObjectKind::{Column, ColumnOrder, Table};
        let table = (Table, "t", "ordinary");
        let with = |number, of| shard(number, &[table, (Column, "t.a", of)]);
        assert!(told(&[with(1, "int"), with(2, "int")]).is_empty());
        let (int, big) = (Some("int".to_owned()), Some("bigint".to_owned()));
        let (t, a) = ("t".to_owned(), "t.a".to_owned());
        assert_eq!(
            told(&[with(1, "int"), with(2, "bigint"), with(3, "bigint")]),
            [("s1".into(), a.clone(), int.clone(), big.clone())]
        );
        assert_eq!(told(&[with(1, "int"), with(2, "bigint")]), [("s2".into(), a.clone(), big, int.clone())]);
        // A missing column, and a missing table, whose columns are not told.
        assert_eq!(told(&[with(1, "int"), shard(2, &[table])]), [("s2".into(), a, None, int)]);
        assert_eq!(told(&[with(1, "int"), shard(2, &[])]), [("s2".into(), t, None, Some("ordinary".into()))]);
        let both = [with(1, "int"), with(2, "bigint")];
        let shown: Vec<_> =
            by_definition(&both).into_iter().map(|(it, of, on)| (&*it.name, of, on.len())).collect();
        assert_eq!(shown, [("t", "ordinary", 2), ("t.a", "int", 1), ("t.a", "bigint", 1)]);
        let columns = [(ColumnOrder, "t", "b, a"), (Column, "t.a", "int"), (Column, "t.b", "int")];
        let shown = [shard(1, &columns)];
        let names: Vec<_> = by_definition(&shown).into_iter().map(|(it, ..)| &*it.name).collect();
        assert_eq!(names, ["t.b", "t.a", "t"]);
        let ordered = |number, order| shard(number, &[table, (ColumnOrder, "t", order)]);
        assert_eq!(told(&[ordered(1, "a, b"), ordered(2, "b, a")]).len(), 1);
        assert!(told(&[ordered(1, "a, b"), ordered(2, "a, b, c")]).is_empty());
    }
}
