//! How the answer of a query is made of those of the shards: each shard computes a part, the parts become one table, and Postgres
//! computes the rest of the query from it. So types, collations, numbers and NULLs are its own.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use sqlparser::ast::{
    Distinct, Expr, GroupByExpr, Ident, LimitClause, OrderBy, OrderByExpr, OrderByKind, Query, Select,
    SelectItem, SetExpr, TableFactor, TableWithJoins, Value, Visit as _, VisitMut, VisitorMut,
};

use super::calls::{Subqueries, expr_of, output_of, position_of};
use super::locality::Facts;
pub use super::rewrite::Kind;
use super::rewrite::{Aggregates, Columns, Splittable};
use super::{Reason, because, column};

/// The temporary table of the parts.
pub const TABLE: &str = "pg_temp.ringshard_parts";

/// The name of one of its columns, from 1, if it has rows of the result.
fn column_name(number: usize) -> String {
    format!("ringshard_c{number}")
}

/// How the answers of the shards become one.
#[derive(Debug)]
pub enum Split {
    /// They are read one behind the other.
    Concatenate,
    /// They are parts.
    Merge(Box<Merge>),
}

/// A part, and the rest.
#[derive(Debug)]
pub struct Merge {
    /// What each shard computes: the columns of [`TABLE`].
    pub part: Query,
    /// The names of its columns.
    pub columns: Vec<String>,
    rest: Rest,
}

#[derive(Debug)]
enum Rest {
    Text(String),
    /// Depends on the types of the part's columns.
    Aggregates(Box<AggregateRest>),
}

#[derive(Debug)]
struct AggregateRest {
    query: Query,
    aggregates: Aggregates,
}

impl Merge {
    /// What is computed from [`TABLE`], whose columns have these types. `None` if that needs the columns themselves.
    pub fn rest(&self, kinds: &[Kind]) -> Option<String> {
        match &self.rest {
            Rest::Text(text) => Some(text.clone()),
            Rest::Aggregates(rest) => {
                let mut query = rest.query.clone();
                rest.aggregates.finish(&mut query, kinds)?;
                Some(query.to_string())
            }
        }
    }
}

/// What a split needs to know of Postgres.
pub trait Postgres {
    /// Whether a name is a column of the tables in FROM, and not only an alias of the output.
    fn is_column(&mut self, probe: &str) -> bool;
}

/// The input of a split.
pub struct Input<'a> {
    /// The query.
    pub query: &'a Query,
    /// What is known of it.
    pub facts: &'a Facts,
    /// The names of its output columns.
    pub names: &'a [String],
    /// The functions in it that look at several rows.
    pub aggregates: &'a BTreeSet<String>,
}

/// Splits a query whose rows lie on the shards. `by_columns`: do not compute aggregates in the parts.
pub fn split(input: &Input<'_>, by_columns: bool, postgres: &mut dyn Postgres) -> Result<Split, Reason> {
    let Input { query, facts, .. } = input;
    let is_cut = query.limit_clause.is_some() || query.fetch.is_some();
    let merges_groups = facts.aggregates && !facts.groups_by_key;
    if !merges_groups && !facts.is_distinct && !facts.is_distinct_union && query.order_by.is_none() && !is_cut
    {
        return Ok(Split::Concatenate);
    }
    let merge = match &*query.body {
        SetExpr::Select(select) if merges_groups => groups(input, select, by_columns, postgres)?,
        SetExpr::Select(select) => rows(input, Some(select))?,
        _ => rows(input, None)?,
    };
    Ok(Split::Merge(Box::new(merge)))
}

/// The columns of the table, with the names of the output.
fn outputs(names: &[String]) -> String {
    let columns = names
        .iter()
        .enumerate()
        .map(|(at, name)| format!("{} AS {}", column_name(at + 1), Ident::with_quote('"', name)));
    columns.collect::<Vec<_>>().join(", ")
}

/// Which output column an expression of ORDER BY or DISTINCT ON means by its position or name, from 1.
fn output_number(expr: &Expr, names: &[String]) -> Option<usize> {
    if let Some(position) = position_of(expr) {
        return Some(position);
    }
    let Expr::Identifier(name) = expr else { return None };
    names.iter().position(|output| *output == name.value).map(|at| at + 1)
}

fn order_of(query: &Query) -> Result<&[OrderByExpr], Reason> {
    match &query.order_by {
        None => Ok(&[]),
        Some(OrderBy { kind: OrderByKind::Expressions(exprs), .. }) => Ok(exprs),
        Some(_) => because("ORDER BY ALL is not SQL of Postgres"),
    }
}

/// LIMIT, OFFSET and FETCH as they are written.
fn cut(query: &Query) -> String {
    let limit = query.limit_clause.as_ref().map(ToString::to_string).unwrap_or_default();
    let fetch = query.fetch.as_ref().map(|fetch| format!(" {fetch}")).unwrap_or_default();
    format!("{limit}{fetch}")
}

/// How many rows of each shard are enough, if that is a number.
fn enough(query: &Query) -> Option<u64> {
    fn number(expr: &Expr) -> Option<u64> {
        match expr {
            Expr::Value(value) => match &value.value {
                Value::Number(text, _) => text.parse().ok(),
                _ => None,
            },
            _ => None,
        }
    }
    let fetched = match &query.fetch {
        Some(fetch) if fetch.with_ties || fetch.percent => return None,
        Some(fetch) => Some(fetch.quantity.as_ref().map_or(Some(1), number)?),
        None => None,
    };
    let (limit, offset) = match &query.limit_clause {
        Some(LimitClause::LimitOffset { limit, offset, limit_by }) if limit_by.is_empty() => {
            (limit.as_ref(), offset.as_ref())
        }
        Some(_) => return None,
        None => (None, None),
    };
    let limit = match limit {
        Some(limit) => number(limit)?,
        None => fetched?,
    };
    limit.checked_add(offset.map_or(Some(0), |offset| number(&offset.value))?)
}

/// Rows that are sorted, cut, or compared with each other.
fn rows(input: &Input<'_>, select: Option<&Select>) -> Result<Merge, Reason> {
    let Input { query, names, facts, .. } = *input;
    let mut appended: Vec<Expr> = Vec::new();
    let mut place = |expr: &Expr| -> Result<Expr, Reason> {
        let number = match output_number(expr, names) {
            Some(number) => number,
            None if select.is_some() => {
                let known = appended.iter().position(|other| other == expr);
                names.len()
                    + 1
                    + known.unwrap_or_else(|| {
                        appended.push(expr.clone());
                        appended.len() - 1
                    })
            }
            None => return because("ORDER BY of a UNION names no output column"),
        };
        Ok(column(&column_name(number)))
    };
    let order: Vec<OrderByExpr> = order_of(query)?
        .iter()
        .map(|item| Ok(OrderByExpr { expr: place(&item.expr)?, ..item.clone() }))
        .collect::<Result<_, Reason>>()?;
    let distinct_on = match select.and_then(|select| select.distinct.as_ref()) {
        Some(Distinct::On(exprs)) => Some(exprs.iter().map(&mut place).collect::<Result<Vec<_>, _>>()?),
        _ => None,
    };
    let mut part = query.clone();
    if let SetExpr::Select(select) = &mut *part.body {
        select.projection.extend(appended.iter().cloned().map(SelectItem::UnnamedExpr));
    }
    let enough = enough(query);
    part.limit_clause = enough.map(|rows| LimitClause::LimitOffset {
        limit: Some(Expr::value(Value::Number(rows.to_string(), false))),
        offset: None,
        limit_by: Vec::new(),
    });
    part.fetch = None;
    if enough.is_none() && distinct_on.is_none() {
        part.order_by = None;
    }
    let sorted = |order: &[OrderByExpr]| {
        let items: Vec<String> = order.iter().map(ToString::to_string).collect();
        if items.is_empty() { String::new() } else { format!(" ORDER BY {}", items.join(", ")) }
    };
    let columns: Vec<String> = (1..=names.len() + appended.len()).map(column_name).collect();
    let all = columns.join(", ");
    let from = match &distinct_on {
        Some(on) => {
            let on: Vec<String> = on.iter().map(ToString::to_string).collect();
            format!("(SELECT DISTINCT ON ({}) {all} FROM {TABLE}{}) AS part", on.join(", "), sorted(&order))
        }
        None if facts.is_distinct || facts.is_distinct_union => {
            format!("(SELECT DISTINCT {all} FROM {TABLE}) AS part")
        }
        None => TABLE.to_owned(),
    };
    let rest = format!("SELECT {} FROM {from}{}{}", outputs(names), sorted(&order), cut(query));
    Ok(Merge { part, columns, rest: Rest::Text(rest) })
}

/// The expressions of GROUP BY: a position means an output column, and so does a name that is no column.
fn groups_of(select: &Select, query: &Query, postgres: &mut dyn Postgres) -> Vec<Expr> {
    let GroupByExpr::Expressions(groups, _) = &select.group_by else { return Vec::new() };
    let mut resolve = |group: &Expr| {
        if let Some(output) = output_of(group, &select.projection) {
            return output.clone();
        }
        if let Expr::Identifier(name) = group
            && let Some(aliased) = aliased(name, &select.projection)
        {
            let mut probe = query.clone();
            if let SetExpr::Select(inner) = &mut *probe.body {
                let from = inner.from.clone();
                **inner = Select {
                    projection: vec![SelectItem::UnnamedExpr(group.clone())],
                    from,
                    ..empty(select)
                };
            }
            (probe.order_by, probe.limit_clause, probe.fetch) = (None, None, None);
            if !postgres.is_column(&probe.to_string()) {
                return aliased.clone();
            }
        }
        group.clone()
    };
    groups.iter().map(&mut resolve).collect()
}

/// The output column of this alias.
fn aliased<'s>(name: &Ident, projection: &'s [SelectItem]) -> Option<&'s Expr> {
    projection.iter().find_map(|item| match item {
        SelectItem::ExprWithAlias { expr, alias } if alias.value == name.value => Some(expr),
        _ => None,
    })
}

/// A select without clauses.
fn empty(select: &Select) -> Select {
    Select {
        distinct: None,
        projection: Vec::new(),
        into: None,
        from: Vec::new(),
        selection: None,
        group_by: GroupByExpr::Expressions(Vec::new(), Vec::new()),
        having: None,
        named_window: Vec::new(),
        ..select.clone()
    }
}

/// Groups whose rows lie on several shards: each shard computes its part of each group, or sends the columns that are needed.
fn groups(
    input: &Input<'_>,
    select: &Select,
    by_columns: bool,
    postgres: &mut dyn Postgres,
) -> Result<Merge, Reason> {
    let Input { query, names, aggregates, .. } = *input;
    let mut inner = Subqueries::default();
    let _ = select.projection.visit(&mut inner);
    let _ = select.group_by.visit(&mut inner);
    let _ = select.having.visit(&mut inner);
    let _ = query.order_by.visit(&mut inner);
    if !inner.found.is_empty() {
        return because("it has a subquery beside aggregates");
    }
    if !select.named_window.is_empty() {
        return because("it has a window beside aggregates");
    }
    if select.projection.iter().any(|item| expr_of(item).is_none()) {
        return because("it has * beside aggregates");
    }
    if matches!(select.distinct, Some(Distinct::On(_))) {
        return because("it has DISTINCT ON beside aggregates");
    }
    // In a FROM clause of one table a column is the same with and without the name of the table.
    let mut bare_select = select.clone();
    if let [TableWithJoins { joins, relation: TableFactor::Table { .. } }] = select.from.as_slice()
        && joins.is_empty()
    {
        // Not in WHERE, whose queries have tables of their own.
        let _ = VisitMut::visit(&mut bare_select.projection, &mut Unqualified);
        let _ = VisitMut::visit(&mut bare_select.group_by, &mut Unqualified);
        let _ = VisitMut::visit(&mut bare_select.having, &mut Unqualified);
    }
    let mut bare_query = query.clone();
    if bare_select != *select {
        let _ = VisitMut::visit(&mut bare_query.order_by, &mut Unqualified);
    }
    let (select, query) = (&bare_select, &bare_query);
    let groups = groups_of(select, query, postgres);
    let mut rest = query.clone();
    rest.with = None;
    let items = select.projection.iter().zip(names).filter_map(|(item, name)| {
        Some(SelectItem::ExprWithAlias { expr: expr_of(item)?.clone(), alias: Ident::with_quote('"', name) })
    });
    let order = order_of(query)?.iter().map(|item| {
        let position = output_number(&item.expr, names);
        let expr = position.map_or_else(|| item.expr.clone(), number);
        OrderByExpr { expr, ..item.clone() }
    });
    if query.order_by.is_some() {
        rest.order_by = Some(OrderBy { kind: OrderByKind::Expressions(order.collect()), interpolate: None });
    }
    let mut rest_select = Select {
        distinct: select.distinct.clone(),
        projection: items.collect(),
        having: select.having.clone(),
        ..empty(select)
    };
    let grouped = |exprs: Vec<Expr>| GroupByExpr::Expressions(exprs, Vec::new());
    let part_of_tables = |projection: Vec<SelectItem>, groups: Vec<Expr>| {
        let select = Select {
            projection,
            from: select.from.clone(),
            selection: select.selection.clone(),
            group_by: grouped(groups),
            ..empty(select)
        };
        part_of(query, select)
    };
    let names_of = |items: &[SelectItem]| items.iter().filter_map(alias_of).collect();
    let mut splittable = Splittable { aggregates, all: !by_columns };
    let _ = rest_select.projection.visit(&mut splittable);
    let _ = rest_select.having.visit(&mut splittable);
    let _ = rest.order_by.visit(&mut splittable);
    if splittable.all {
        let mut partial = Aggregates::new(&groups, aggregates);
        let mut rest = rest.clone();
        *rest.body = SetExpr::Select(Box::new(rest_select.clone()));
        let _ = VisitMut::visit(&mut rest, &mut partial);
        if partial.has_others() {
            return self::groups(input, select, true, postgres);
        }
        // By position, as a constant would not do there.
        let groups = (1..=partial.groups_count()).map(number).collect();
        let items = partial.items();
        if let SetExpr::Select(select) = &mut *rest.body {
            select.group_by = grouped(partial.group_columns());
            select.from = from_parts();
        }
        let columns = names_of(&items);
        let rest = Rest::Aggregates(Box::new(AggregateRest { query: rest, aggregates: partial }));
        return Ok(Merge { part: part_of_tables(items, groups), columns, rest });
    }
    rest_select.group_by = grouped(groups);
    *rest.body = SetExpr::Select(Box::new(rest_select));
    let mut needed = Columns::default();
    let _ = VisitMut::visit(&mut rest, &mut needed);
    if let SetExpr::Select(select) = &mut *rest.body {
        select.from = from_parts();
    }
    let items = needed.items();
    let columns = names_of(&items);
    Ok(Merge { part: part_of_tables(items, Vec::new()), columns, rest: Rest::Text(rest.to_string()) })
}

fn number(number: usize) -> Expr {
    Expr::value(Value::Number(number.to_string(), false))
}

fn alias_of(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(alias.value.clone()),
        _ => None,
    }
}

/// FROM the table of the parts.
fn from_parts() -> Vec<TableWithJoins> {
    let statement = super::parse(&format!("SELECT 1 FROM {TABLE}"));
    match statement.as_ref().ok().and_then(super::query_of).map(|query| &*query.body) {
        Some(SetExpr::Select(select)) => select.from.clone(),
        _ => Vec::new(),
    }
}

/// Drops the name of the table before a column.
struct Unqualified;

impl VisitorMut for Unqualified {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::CompoundIdentifier(names) = expr
            && let [_, column] = names.as_slice()
        {
            *expr = Expr::Identifier(column.clone());
        }
        ControlFlow::Continue(())
    }
}

/// The part of a query: its WITH, and this select.
fn part_of(query: &Query, select: Select) -> Query {
    Query {
        body: Box::new(SetExpr::Select(Box::new(select))),
        order_by: None,
        limit_clause: None,
        fetch: None,
        ..query.clone()
    }
}
