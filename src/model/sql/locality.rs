//! Where the rows of a statement lie. A query is local if its answer is that of all shards together, one behind the other: its sharded
//! tables are joined over their sharding keys, and nothing in it looks at rows of several keys at once.

use std::collections::BTreeSet;
use std::ops::Range;

use sqlparser::ast::{
    Cte, Distinct, Expr, Join, JoinConstraint, JoinOperator, ObjectName, Query, Select, SelectItem, SetExpr,
    SetOperator, SetQuantifier, Statement, TableAlias, TableFactor, TableWithJoins, Visit,
};

use super::calls::{Relations, Subqueries};
use super::keys::{bare, constants, for_each_conjunct, sides};
use super::level::Level;
use super::scope::{Ctes, Nodes, Scope, Shape, Source, named, renamed};
pub use super::scope::{Facts, Found};
use super::table_of;
use crate::model::table::Tables;

/// The condition of a join; for an outer one with the sources on its two sides.
struct On<'q> {
    condition: &'q Expr,
    outer: Option<(Range<usize>, Range<usize>)>,
}

/// The state of an analysis.
struct Analysis<'a> {
    tables: &'a Tables,
    aggregates: &'a BTreeSet<String>,
    nodes: Nodes,
    found: Found,
    /// The node that the column of the next query is compared with by IN.
    compared: Option<usize>,
    /// How many relations were looked at.
    relations: usize,
}

/// Analyses a query. `aggregates` are the names of the functions in it that look at several rows.
pub fn analyse(tables: &Tables, aggregates: &BTreeSet<String>, query: &Query) -> Found {
    let mut analysis = Analysis::new(tables, aggregates);
    let mut facts = Facts::default();
    analysis.query(query, None, &Ctes::new(), true, &mut facts);
    analysis.found.facts = facts;
    analysis.check_all_relations(query);
    analysis.end()
}

/// Finds the keys of a statement that changes rows of the first of these tables; with its other expressions.
pub(super) fn analyse_write(
    tables: &Tables,
    from: &[TableWithJoins],
    selection: Option<&Expr>,
    others: Subqueries,
    statement: &Statement,
) -> Found {
    let aggregates = BTreeSet::new();
    let mut analysis = Analysis::new(tables, &aggregates);
    let scope = analysis.from(from, selection, None, &Ctes::new());
    analysis.subqueries(&selection.cloned(), &scope, &Ctes::new());
    analysis.found_subqueries(others, &scope, &Ctes::new());
    analysis.check_all_relations(statement);
    let nodes: Vec<usize> = scope.sources.iter().filter_map(|source| source.node).collect();
    if scope.sources.first().is_some_and(|target| target.node.is_none()) && !nodes.is_empty() {
        analysis.reason("it writes rows that are the same on every shard by rows that are not");
    }
    analysis.check_joined(&nodes);
    let mut target = scope.sources.first().and_then(|source| source.node);
    if target.is_some_and(|node| analysis.nodes.keys(node).is_none()) {
        target = None;
    }
    let found = analysis.end();
    // What is written must be bound itself.
    Found { keys: found.keys.clone().filter(|_| target.is_some()), ..found }
}

impl<'a> Analysis<'a> {
    fn new(tables: &'a Tables, aggregates: &'a BTreeSet<String>) -> Self {
        Self {
            tables,
            aggregates,
            nodes: Nodes::default(),
            found: Found::default(),
            compared: None,
            relations: 0,
        }
    }

    fn end(mut self) -> Found {
        self.found.names_sharded = !self.nodes.is_empty();
        let keys = self.nodes.all_keys().filter(|keys| !keys.is_empty());
        self.found.keys = keys.map(|keys| keys.into_iter().collect());
        if self.found.names_sharded && !self.found.unknown.is_empty() {
            let unknown = self.found.unknown.join("`, `");
            self.reason(format!("`{unknown}` is no table of this cluster (ringshard table list shows them)"));
        }
        self.found
    }

    /// The statement has a part that is not understood.
    fn opaque(&mut self, why: impl Into<String>) {
        self.found.is_opaque = true;
        self.reason(why);
    }

    fn reason(&mut self, why: impl Into<String>) {
        let why = why.into();
        if !self.found.reasons.contains(&why) {
            self.found.reasons.push(why);
        }
    }

    /// Reads the FROM clause and the conditions of one level.
    fn from<'s>(
        &mut self,
        from: &[TableWithJoins],
        selection: Option<&Expr>,
        outer: Option<&'s Scope<'s>>,
        ctes: &Ctes,
    ) -> Scope<'s> {
        let mut scope = Scope { sources: Vec::new(), outer };
        let mut conditions = Vec::new();
        for item in from {
            self.joins(item, &mut scope, ctes, &mut conditions);
        }
        // Where there is an outer join, a condition of a join does not restrict the rows that it keeps.
        let restricts = !scope.sources.iter().any(|source| source.is_nullable);
        let mut conjuncts = Vec::new();
        if let Some(selection) = selection {
            for_each_conjunct(selection, &mut |condition| conjuncts.push((condition, None, true)));
        }
        for On { condition, outer } in &conditions {
            for_each_conjunct(condition, &mut |condition| {
                conjuncts.push((condition, outer.as_ref(), restricts));
            });
        }
        for (condition, outer_join, restricts) in &conjuncts {
            if let Some((left, right)) = sides(condition)
                && let (Some((one, depth)), Some((other, other_depth))) =
                    (scope.resolve(left), scope.resolve(right))
            {
                // An outer join compares the rows of its two sides alone.
                let is_across = outer_join.is_none_or(|(left, right)| {
                    let is_in = |range: &Range<usize>, node| {
                        scope.sources[range.clone()].iter().any(|source| source.node == Some(node))
                    };
                    is_in(left, one) && is_in(right, other) || is_in(left, other) && is_in(right, one)
                });
                match (depth, other_depth) {
                    (0, 0) if is_across => self.nodes.unite(one, other),
                    (0, 1..) if *restricts => self.nodes.bind_outer(one, other),
                    (1.., 0) if *restricts => self.nodes.bind_outer(other, one),
                    _ => {}
                }
            }
        }
        for (condition, _, _) in conjuncts.iter().filter(|(_, _, restricts)| *restricts) {
            if let Some((column, constants)) = constants(condition)
                && let Some((node, 0)) = scope.resolve(column)
            {
                self.nodes.bind(node, &constants);
            }
        }
        for On { condition, .. } in &conditions {
            self.subqueries(*condition, &scope, ctes);
        }
        scope
    }

    fn joins<'q>(
        &mut self,
        item: &'q TableWithJoins,
        scope: &mut Scope<'_>,
        ctes: &Ctes,
        conditions: &mut Vec<On<'q>>,
    ) {
        let begin = scope.sources.len();
        self.factor(&item.relation, scope, ctes, conditions);
        for Join { relation, join_operator, .. } in &item.joins {
            let middle = scope.sources.len();
            self.factor(relation, scope, ctes, conditions);
            let is_sharded = |sources: &[Source]| sources.iter().any(|source| source.node.is_some());
            let (left, right) =
                (is_sharded(&scope.sources[begin..middle]), is_sharded(&scope.sources[middle..]));
            let (constraint, nullable, is_right) = match join_operator {
                JoinOperator::Join(on) | JoinOperator::Inner(on) | JoinOperator::CrossJoin(on) => {
                    (on, middle..middle, true)
                }
                JoinOperator::Left(on) | JoinOperator::LeftOuter(on) => {
                    (on, middle..scope.sources.len(), left || !right)
                }
                JoinOperator::Right(on) | JoinOperator::RightOuter(on) => (on, begin..middle, right || !left),
                JoinOperator::FullOuter(on) => (on, begin..scope.sources.len(), left == right),
                _ => {
                    self.opaque("a join of it is not known here");
                    continue;
                }
            };
            if !is_right {
                self.reason("an outer join keeps rows that are the same on every shard");
            }
            let outer = (!nullable.is_empty()).then_some((begin..middle, middle..scope.sources.len()));
            for source in &mut scope.sources[nullable] {
                source.is_nullable = true;
            }
            match constraint {
                JoinConstraint::On(condition) => conditions.push(On { condition, outer }),
                JoinConstraint::Using(columns) => {
                    for column in columns {
                        self.nodes.using(column, &scope.sources[begin..middle], &scope.sources[middle..]);
                    }
                }
                JoinConstraint::None => {}
                JoinConstraint::Natural | JoinConstraint::UsingAlias(..) => {
                    if left || right {
                        self.opaque("a NATURAL JOIN does not say what it compares: JOIN … USING (column)");
                    }
                }
            }
        }
    }

    fn factor<'q>(
        &mut self,
        factor: &'q TableFactor,
        scope: &mut Scope<'_>,
        ctes: &Ctes,
        conditions: &mut Vec<On<'q>>,
    ) {
        match factor {
            TableFactor::Table { name, alias, args: None, .. } => {
                self.relations += 1;
                let own = name
                    .0
                    .last()
                    .and_then(|part| part.as_ident())
                    .map(|name| name.value.clone())
                    .unwrap_or_default();
                let (alias_name, has_columns) = named(alias.as_ref(), own.clone());
                let cte = ctes
                    .iter()
                    .rev()
                    .find(|(cte, _)| name.0.len() == 1 && *cte == own)
                    .map(|(_, shape)| shape.clone());
                let source = if let Some(shape) = cte {
                    self.source_of(shape, alias.as_ref(), alias_name)
                } else if let Some(table) = table_of(self.tables, name) {
                    let keys =
                        table.key.iter().filter(|_| !has_columns).map(|key| key.column.clone()).collect();
                    let node = table.key.as_ref().map(|key| self.nodes.add(alias_name.clone(), Some(key.of)));
                    self.found.names_reference |= node.is_none();
                    Source { alias: alias_name, node, keys, is_nullable: false }
                } else {
                    self.found.unknown.push(name.to_string());
                    Source::free(alias_name)
                };
                scope.sources.push(source);
            }
            TableFactor::Derived { lateral, subquery, alias, .. } => {
                let (alias_name, _) = named(alias.as_ref(), String::new());
                let shape = self.query(subquery, None, ctes, false, &mut Facts::default());
                if *lateral && shape != Shape::Free {
                    self.reason("a LATERAL query reads sharded tables");
                }
                let source = self.source_of(shape, alias.as_ref(), alias_name);
                scope.sources.push(source);
            }
            TableFactor::NestedJoin { table_with_joins, alias: None } => {
                self.joins(table_with_joins, scope, ctes, conditions);
            }
            TableFactor::Function { alias, .. }
            | TableFactor::UNNEST { alias, .. }
            | TableFactor::TableFunction { alias, .. } => {
                let (alias, _) = named(alias.as_ref(), String::new());
                scope.sources.push(Source::free(alias));
            }
            // A function.
            TableFactor::Table { alias, name, .. } => {
                self.relations += 1;
                let (alias, _) = named(alias.as_ref(), name.to_string());
                scope.sources.push(Source::free(alias));
            }
            other => self.opaque(format!("`{other}` is not known here")),
        }
    }

    fn source_of(&mut self, shape: Shape, alias: Option<&TableAlias>, name: String) -> Source {
        match renamed(shape, alias) {
            Shape::Free => Source::free(name),
            Shape::Sharded(keys) => {
                let node = self.nodes.add(name.clone(), None);
                Source { alias: name, node: Some(node), keys, is_nullable: false }
            }
        }
    }

    /// Analyses a query: `is_top` if the caller handles its order, limit, DISTINCT and groups.
    pub(super) fn query(
        &mut self,
        query: &Query,
        outer: Option<&Scope<'_>>,
        ctes: &Ctes,
        is_top: bool,
        facts: &mut Facts,
    ) -> Shape {
        let mut ctes = ctes.clone();
        if let Some(with) = &query.with {
            if with.recursive {
                self.reason("it is recursive");
            }
            for Cte { alias, query, .. } in &with.cte_tables {
                let name = alias.name.value.clone();
                if table_of(self.tables, &ObjectName::from(vec![alias.name.clone()])).is_some() {
                    self.opaque(format!("a WITH query has the name of the table `{name}`"));
                }
                if with.recursive {
                    ctes.push((name.clone(), Shape::Free));
                }
                let shape = self.query(query, None, &ctes, false, &mut Facts::default());
                ctes.push((name, renamed(shape, Some(alias))));
            }
        }
        let shape = self.set(&query.body, query, outer, &ctes, is_top, facts);
        let is_cut = query.limit_clause.is_some() || query.fetch.is_some();
        if is_cut && !is_top && shape != Shape::Free && outer.is_none() {
            self.reason("a query inside it has a LIMIT or OFFSET");
        }
        if !query.locks.is_empty() {
            self.reason("it locks rows");
        }
        shape
    }

    fn set(
        &mut self,
        body: &SetExpr,
        query: &Query,
        outer: Option<&Scope<'_>>,
        ctes: &Ctes,
        is_top: bool,
        facts: &mut Facts,
    ) -> Shape {
        match body {
            SetExpr::Select(select) => self.select(select, query, outer, ctes, is_top, facts),
            SetExpr::Query(inner) => {
                if inner.order_by.is_some() {
                    self.reason("a query in parentheses has an ORDER BY");
                }
                self.query(inner, outer, ctes, false, facts)
            }
            SetExpr::SetOperation { left, op, set_quantifier, right } => {
                let mut inner = Facts::default();
                let bodies = [left, right].map(|side| self.set(side, query, outer, ctes, false, &mut inner));
                let [Shape::Sharded(_), Shape::Sharded(_)] = &bodies else {
                    if bodies != [Shape::Free, Shape::Free] {
                        self.reason("one side of a UNION, INTERSECT or EXCEPT is the same on every shard");
                        facts.is_sharded = true;
                        return Shape::Sharded(Vec::new());
                    }
                    return Shape::Free;
                };
                facts.is_sharded = true;
                let is_all = matches!(set_quantifier, SetQuantifier::All);
                match op {
                    SetOperator::Union if is_all => {}
                    SetOperator::Union if is_top => facts.is_distinct_union = true,
                    _ => self.reason("a UNION, INTERSECT or EXCEPT compares rows of different shards"),
                }
                // Their columns correspond by position.
                Shape::Sharded(Vec::new())
            }
            SetExpr::Values(values) => {
                let scope = Scope { sources: Vec::new(), outer };
                self.subqueries(values, &scope, ctes);
                Shape::Free
            }
            SetExpr::Table(_) => {
                self.opaque("TABLE is not known here: SELECT * FROM");
                Shape::Free
            }
            SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
                self.opaque("a part of it writes");
                Shape::Free
            }
        }
    }

    fn select(
        &mut self,
        select: &Select,
        query: &Query,
        outer: Option<&Scope<'_>>,
        ctes: &Ctes,
        is_top: bool,
        facts: &mut Facts,
    ) -> Shape {
        let is_cut = query.limit_clause.is_some() || query.fetch.is_some();
        let compared = self.compared.take().filter(|_| !is_cut && matches!(*query.body, SetExpr::Select(_)));
        let scope = self.from(&select.from, select.selection.as_ref(), outer, ctes);
        let nodes: Vec<usize> = scope.sources.iter().filter_map(|source| source.node).collect();
        // The expressions of this level, in all its clauses.
        self.subqueries(&select.projection, &scope, ctes);
        self.subqueries(&select.selection, &scope, ctes);
        self.subqueries(&select.group_by, &scope, ctes);
        self.subqueries(&select.having, &scope, ctes);
        self.subqueries(&select.distinct, &scope, ctes);
        self.subqueries(&query.order_by, &scope, ctes);
        let Some(first) = nodes.first() else { return Shape::Free };
        facts.is_sharded = true;
        if let Some(compared) = compared
            && let [SelectItem::UnnamedExpr(item) | SelectItem::ExprWithAlias { expr: item, .. }] =
                select.projection.as_slice()
            && let Some((node, 0)) = scope.resolve(bare(item))
        {
            self.nodes.bind_outer(node, compared);
        }
        self.check_joined(&nodes);
        let of = Level { select, scope: &scope, nodes: &self.nodes, root: self.nodes.root(*first) };
        let is_correlated = self.nodes.is_correlated(of.root);
        let mut reasons = Vec::new();
        let (aggregates, groups_by_key) = of.groups(query, self.aggregates, &mut reasons);
        let (is_distinct, outputs) = (of.is_distinct(), of.key_outputs());
        if outer.is_some() && !is_correlated {
            reasons.push("a subquery reads rows of other shards: compare its sharding key with that of the outer query");
        }
        for why in reasons {
            self.reason(why);
        }
        if is_top {
            facts.aggregates = aggregates;
            facts.groups_by_key = groups_by_key;
            facts.is_distinct = is_distinct;
        } else if !is_correlated && aggregates && !groups_by_key {
            self.reason("a query inside it makes one result of rows of different shards");
        } else if !is_correlated && is_distinct {
            self.reason("a query inside it has a DISTINCT without the sharding key");
        }
        Shape::Sharded(outputs)
    }

    /// The sharded tables of one level must be joined over their sharding keys.
    fn check_joined(&mut self, nodes: &[usize]) {
        let Some(first) = nodes.first() else { return };
        if let Some(other) = nodes.iter().find(|node| self.nodes.root(**node) != self.nodes.root(*first)) {
            let why = format!(
                "`{}` and `{}` are not joined over their sharding keys",
                self.nodes.name(*first),
                self.nodes.name(*other)
            );
            self.reason(why);
        }
    }

    /// Analyses the queries in expressions.
    pub(super) fn subqueries(&mut self, part: &impl Visit, scope: &Scope<'_>, ctes: &Ctes) {
        let mut subqueries = Subqueries::default();
        let _ = part.visit(&mut subqueries);
        self.found_subqueries(subqueries, scope, ctes);
    }

    fn found_subqueries(&mut self, subqueries: Subqueries, scope: &Scope<'_>, ctes: &Ctes) {
        for (query, compared) in subqueries.found {
            let is_plain = matches!(&*query.body, SetExpr::Select(select) if !matches!(select.distinct, Some(Distinct::On(_))));
            let key = compared.filter(|_| is_plain).and_then(|expr| scope.resolve_kept(bare(&expr)));
            self.compared = key.map(|(node, _)| node);
            self.query(&query, Some(scope), ctes, false, &mut Facts::default());
            self.compared = None;
        }
    }

    /// No part of the statement may have been overlooked.
    fn check_all_relations(&mut self, statement: &impl Visit) {
        let mut relations = Relations::default();
        let _ = statement.visit(&mut relations);
        if relations.has_generated {
            self.opaque("a name in it begins with ringshard_");
        }
        if relations.count != self.relations {
            self.opaque("a part of it is not known here");
        }
    }
}
