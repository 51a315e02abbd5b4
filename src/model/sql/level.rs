//! One level of a query: what its groups, windows and output columns have to do with the sharding key.

use std::collections::BTreeSet;

use sqlparser::ast::{Distinct, Expr, GroupByExpr, Query, Select, SelectItem, Visit as _, WindowType};

use super::calls::{Calls, expr_of, is_several, last_name, output_of, window_of};
use super::keys::bare;
use super::scope::{Nodes, Scope};

/// A select with sharded tables: its FROM clause, and the root of their nodes.
pub(super) struct Level<'s> {
    pub(super) select: &'s Select,
    pub(super) scope: &'s Scope<'s>,
    pub(super) nodes: &'s Nodes,
    pub(super) root: usize,
}

impl Level<'_> {
    /// Whether an expression is the sharding key of the tables of a level.
    fn is_key(&self, expr: &Expr) -> bool {
        self.scope
            .resolve_kept(bare(expr))
            .is_some_and(|(node, depth)| depth == 0 && self.nodes.root(node) == self.root)
    }

    /// Looks at aggregates, groups and windows: whether there are aggregates or groups, and whether each group lies on one shard.
    pub(super) fn groups(
        &self,
        query: &Query,
        aggregates: &BTreeSet<String>,
        reasons: &mut Vec<&'static str>,
    ) -> (bool, bool) {
        let (select, is_correlated) = (self.select, self.nodes.is_correlated(self.root));
        let mut calls = Calls { aggregates, depth: 0, has_aggregate: false, windows: Vec::new() };
        let _ = select.projection.visit(&mut calls);
        let _ = select.having.visit(&mut calls);
        let _ = query.order_by.visit(&mut calls);
        let _ = select.distinct.visit(&mut calls);
        let groups = match &select.group_by {
            GroupByExpr::Expressions(groups, modifiers) => {
                if !modifiers.is_empty() || groups.iter().any(is_several) {
                    reasons.push("it has grouping sets");
                }
                groups.as_slice()
            }
            GroupByExpr::All(_) => {
                reasons.push("GROUP BY ALL is not SQL of Postgres");
                &[]
            }
        };
        let by_key =
            groups.iter().any(|group| self.is_key(output_of(group, &select.projection).unwrap_or(group)));
        for window in &calls.windows {
            let partitions = match window {
                WindowType::WindowSpec(spec) if spec.window_name.is_none() => spec.partition_by.clone(),
                WindowType::WindowSpec(spec) => {
                    window_of(spec.window_name.as_ref().map(|name| name.value.as_str()), &select.named_window)
                }
                WindowType::NamedWindow(name) => window_of(Some(&name.value), &select.named_window),
            };
            if !is_correlated && !partitions.iter().any(|expr| self.is_key(expr)) {
                reasons.push("a window function looks at rows of different shards");
            }
        }
        (calls.has_aggregate || !groups.is_empty() || select.having.is_some(), by_key)
    }

    /// Whether DISTINCT compares rows of different keys.
    pub(super) fn is_distinct(&self) -> bool {
        let projection = &self.select.projection;
        match &self.select.distinct {
            None | Some(Distinct::All) => false,
            Some(Distinct::Distinct) => {
                let has_keys =
                    self.scope.sources.iter().any(|source| !source.keys.is_empty() && !source.is_nullable);
                !projection.iter().any(|item| match item {
                    SelectItem::Wildcard(_) => has_keys,
                    item => expr_of(item).is_some_and(|expr| self.is_key(expr)),
                })
            }
            Some(Distinct::On(exprs)) => {
                !exprs.iter().any(|expr| self.is_key(output_of(expr, projection).unwrap_or(expr)))
            }
        }
    }

    /// The names of the output columns that hold the sharding key.
    pub(super) fn key_outputs(&self) -> Vec<String> {
        let mut keys = Vec::new();
        for item in &self.select.projection {
            match item {
                SelectItem::UnnamedExpr(expr) if self.is_key(expr) => keys.extend(last_name(expr)),
                SelectItem::ExprWithAlias { expr, alias } if self.is_key(expr) => {
                    keys.push(alias.value.clone());
                }
                SelectItem::Wildcard(_) => {
                    keys.extend(
                        self.scope
                            .sources
                            .iter()
                            .filter(|source| !source.is_nullable)
                            .flat_map(|source| source.keys.clone()),
                    );
                }
                SelectItem::QualifiedWildcard(kind, _) => {
                    let alias = kind.to_string();
                    let alias = alias.trim_end_matches(".*");
                    let sources = self
                        .scope
                        .sources
                        .iter()
                        .filter(|source| source.alias == alias && !source.is_nullable);
                    keys.extend(sources.flat_map(|source| source.keys.clone()));
                }
                _ => {}
            }
        }
        keys
    }
}
