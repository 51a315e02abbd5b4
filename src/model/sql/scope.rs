//! The FROM clauses of a statement: which of their tables lie on the shards, and which of these have equal sharding keys.

use std::collections::BTreeSet;

use sqlparser::ast::{Expr, ObjectName, TableAlias};

use super::keys::key_of;
use crate::model::table::KeyType;

/// What is known of a select.
#[derive(Debug, Default, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts of one statement")]
pub struct Facts {
    /// Whether it reads sharded tables.
    pub is_sharded: bool,
    /// Whether it has aggregates, or groups.
    pub aggregates: bool,
    /// Whether each group lies on one shard.
    pub groups_by_key: bool,
    /// Whether DISTINCT compares rows of several shards.
    pub is_distinct: bool,
    /// Whether it is a set operation that compares rows of several shards.
    pub is_distinct_union: bool,
}

/// What an analysis found.
#[derive(Debug, Default)]
pub struct Found {
    /// The keys that the statement is about, with their types; `None` if it names none, or not for each of its tables.
    pub keys: Option<Vec<String>>,
    /// Of the outermost query.
    pub facts: Facts,
    /// Why it cannot be split; empty if it can.
    pub reasons: Vec<String>,
    /// Whether it reads a sharded table anywhere.
    pub names_sharded: bool,
    /// Whether it reads a reference table.
    pub names_reference: bool,
    /// Relations that are neither.
    pub unknown: Vec<String>,
    /// Whether a part of it is not understood, so that it is not known what it reads.
    pub is_opaque: bool,
}

/// A table in a FROM clause whose rows lie on the shards.
#[derive(Debug)]
struct Node {
    /// What it is called in a message.
    name: String,
    /// The type of its sharding key; `None` if it is no table but a query of sharded tables.
    key: Option<KeyType>,
    /// Another node of the same FROM clause with an equal key, up to the root of all these.
    parent: usize,
    /// For a root: the keys that its rows can have.
    keys: Option<Vec<String>>,
    /// For a root: a node of an outer query with the same key.
    outer: Option<usize>,
}

/// What stands in a FROM clause.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) alias: String,
    /// `None` if its rows are the same on every shard.
    pub(super) node: Option<usize>,
    /// The columns that hold the sharding key.
    pub(super) keys: Vec<String>,
    /// Whether an outer join adds rows without it, whose columns are NULL.
    pub(super) is_nullable: bool,
}

impl Source {
    /// Without rows that lie on the shards.
    pub(super) fn free(alias: String) -> Self {
        Self { alias, node: None, keys: Vec::new(), is_nullable: false }
    }
}

/// The FROM clause of a query, and those around it.
pub(super) struct Scope<'s> {
    pub(super) sources: Vec<Source>,
    pub(super) outer: Option<&'s Scope<'s>>,
}

/// What a query yields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shape {
    /// The same rows on every shard.
    Free,
    /// Rows that lie on the shards; with the names of the columns that hold the sharding key.
    Sharded(Vec<String>),
}

/// The queries of a WITH clause, each with what it yields and its node.
pub(super) type Ctes = Vec<(String, Shape)>;

/// The sharded tables of a statement.
#[derive(Debug, Default)]
pub(super) struct Nodes(Vec<Node>);

impl Nodes {
    pub(super) fn add(&mut self, name: String, key: Option<KeyType>) -> usize {
        self.0.push(Node { name, key, parent: self.0.len(), keys: None, outer: None });
        self.0.len() - 1
    }

    pub(super) fn root(&self, node: usize) -> usize {
        if self.0[node].parent == node { node } else { self.root(self.0[node].parent) }
    }

    pub(super) fn unite(&mut self, one: usize, other: usize) {
        let (one, other) = (self.root(one), self.root(other));
        if one != other {
            let (keys, outer) = (self.0[other].keys.take(), self.0[other].outer);
            self.0[other].parent = one;
            let root = &mut self.0[one];
            root.keys = root.keys.take().or(keys);
            root.outer = root.outer.or(outer);
        }
    }

    /// What a node is called in a message.
    pub(super) fn name(&self, node: usize) -> &str {
        &self.0[node].name
    }

    /// Whether the keys of a node are those of a row of an outer query.
    pub(super) fn is_correlated(&self, node: usize) -> bool {
        self.0[self.root(node)].outer.is_some()
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The keys of all tables; `None` if those of one are not known.
    pub(super) fn all_keys(&self) -> Option<BTreeSet<String>> {
        let tables = (0..self.0.len()).filter(|node| self.0[*node].key.is_some());
        let keys: Vec<&Vec<String>> = tables.map(|node| self.keys(node)).collect::<Option<_>>()?;
        Some(keys.into_iter().flatten().cloned().collect())
    }

    /// The keys that the rows of a node can have.
    pub(super) fn keys(&self, node: usize) -> Option<&Vec<String>> {
        let root = &self.0[self.root(node)];
        root.keys.as_ref().or_else(|| self.keys(root.outer?))
    }

    pub(super) fn bind_outer(&mut self, node: usize, outer: usize) {
        let root = self.root(node);
        self.0[root].outer.get_or_insert(outer);
    }

    pub(super) fn bind(&mut self, node: usize, constants: &[&Expr]) {
        // Of a query there is no type; its own tables may be bound.
        let Some(of) = self.0[node].key else { return };
        let keys: Option<Vec<String>> = constants.iter().map(|constant| key_of(constant, of)).collect();
        let root = self.root(node);
        if let Some(keys) = keys {
            self.0[root].keys.get_or_insert(keys);
        }
    }

    pub(super) fn using(&mut self, column: &ObjectName, left: &[Source], right: &[Source]) {
        let name = column.to_string();
        let of = |sources: &[Source]| {
            sources.iter().find(|source| source.keys.contains(&name)).and_then(|source| source.node)
        };
        if let (Some(one), Some(other)) = (of(left), of(right)) {
            self.unite(one, other);
        }
    }
}

impl Scope<'_> {
    /// As [`Scope::resolve`], if the column is of this level and cannot be NULL: that of an outer join may be on any shard.
    pub(super) fn resolve_kept(&self, expr: &Expr) -> Option<(usize, usize)> {
        let found @ (node, depth) = self.resolve(expr)?;
        let is_kept = |source: &Source| source.node == Some(node) && !source.is_nullable;
        (depth > 0 || self.sources.iter().any(is_kept)).then_some(found)
    }

    /// The node whose sharding key an expression is, and how many queries around it lies.
    pub(super) fn resolve(&self, expr: &Expr) -> Option<(usize, usize)> {
        match expr {
            // Without a qualifier it may be a column of another table around.
            Expr::Identifier(name) => {
                let source = self.sources.iter().find(|source| source.keys.contains(&name.value))?;
                Some((source.node?, 0))
            }
            Expr::CompoundIdentifier(names) => {
                let [alias, column] = names.as_slice() else { return None };
                let (mut scope, mut depth) = (self, 0);
                loop {
                    if let Some(source) = scope.sources.iter().find(|source| source.alias == alias.value) {
                        return Some((source.node.filter(|_| source.keys.contains(&column.value))?, depth));
                    }
                    scope = scope.outer?;
                    depth += 1;
                }
            }
            _ => None,
        }
    }
}

/// What a query yields under an alias; with a list of columns it is not known which of them is the key.
pub(super) fn renamed(shape: Shape, alias: Option<&TableAlias>) -> Shape {
    match shape {
        Shape::Sharded(_) if alias.is_some_and(|alias| !alias.columns.is_empty()) => {
            Shape::Sharded(Vec::new())
        }
        shape => shape,
    }
}

/// The name of a source, and whether its columns have other names.
pub(super) fn named(alias: Option<&TableAlias>, own: String) -> (String, bool) {
    alias.map_or((own, false), |alias| (alias.name.value.clone(), !alias.columns.is_empty()))
}
