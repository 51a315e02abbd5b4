//! What is found in expressions: queries, aggregates, windows.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, Function, Ident, InTarget, NamedWindowDefinition, NamedWindowExpr, ObjectName, Query, SelectItem,
    TableFactor, Value, Visit, Visitor, WindowType,
};

/// The names of the functions that are called, not qualified.
#[derive(Debug, Default)]
pub struct FunctionNames(pub BTreeSet<String>);

impl Visitor for FunctionNames {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expr {
            self.0.extend(name_of(function));
        }
        ControlFlow::Continue(())
    }
}

/// The name of a function, without its schema.
pub(super) fn name_of(function: &Function) -> Option<String> {
    Some(function.name.0.last()?.as_ident()?.value.clone())
}

/// Counts the relations, and looks for names like those that are generated.
#[derive(Default)]
pub(super) struct Relations {
    pub(super) count: usize,
    pub(super) has_generated: bool,
}

impl Visitor for Relations {
    type Break = ();

    fn pre_visit_relation(&mut self, _: &ObjectName) -> ControlFlow<()> {
        self.count += 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_ident(&mut self, name: &Ident) -> ControlFlow<()> {
        self.has_generated |= name.value.starts_with("ringshard_");
        ControlFlow::Continue(())
    }
}

/// Aggregates in queries inside whose columns may be those of the query around: then they are aggregates of that one. Each with the
/// query that stands in parentheses.
#[derive(Default)]
pub struct InnerAggregates {
    /// The queries.
    pub found: Vec<Query>,
    /// The functions that look at several rows.
    aggregates: BTreeSet<String>,
    depth: usize,
}

impl InnerAggregates {
    /// To look for these functions.
    pub fn of(aggregates: BTreeSet<String>) -> Self {
        Self { aggregates, ..Self::default() }
    }
}

impl Visitor for InnerAggregates {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        self.depth += 1;
        if self.depth == 2 {
            let mut calls = ColumnsInAggregates { aggregates: &self.aggregates, found: false };
            let _ = Visit::visit(query, &mut calls);
            if calls.found {
                self.found.push(query.clone());
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }
}

/// Whether each column in an aggregate of a query has the name of one of the tables in it.
pub fn aggregates_are_qualified(query: &Query, aggregates: &BTreeSet<String>) -> bool {
    let mut own = Qualified { aggregates, aliases: BTreeSet::new(), columns: Vec::new() };
    let _ = Visit::visit(query, &mut own);
    own.columns.iter().all(|alias| alias.as_ref().is_some_and(|alias| own.aliases.contains(alias)))
}

struct Qualified<'a> {
    aggregates: &'a BTreeSet<String>,
    aliases: BTreeSet<String>,
    /// The tables of the columns in aggregates, if they are named.
    columns: Vec<Option<String>>,
}

impl Visitor for Qualified<'_> {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        let (TableFactor::Table { alias, .. } | TableFactor::Derived { alias, .. }) = factor else {
            return ControlFlow::Continue(());
        };
        let own = match factor {
            TableFactor::Table { name, .. } => {
                name.0.last().and_then(|part| part.as_ident()).map(|name| name.value.clone())
            }
            _ => None,
        };
        self.aliases.extend(alias.as_ref().map(|alias| alias.name.value.clone()).or(own));
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expr
            && is_aggregate(function, self.aggregates)
        {
            let _ = Visit::visit(function, &mut Owners(&mut self.columns));
        }
        ControlFlow::Continue(())
    }
}

/// The tables that columns name.
struct Owners<'c>(&'c mut Vec<Option<String>>);

impl Visitor for Owners<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Identifier(_) => self.0.push(None),
            Expr::CompoundIdentifier(names) => self.0.push(names.first().map(|name| name.value.clone())),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// Whether a column is in an aggregate.
struct ColumnsInAggregates<'a> {
    aggregates: &'a BTreeSet<String>,
    found: bool,
}

impl Visitor for ColumnsInAggregates<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expr
            && is_aggregate(function, self.aggregates)
        {
            // Any argument but a star.
            self.found |= !function.args.to_string().trim_matches(['(', ')']).eq("*");
        }
        ControlFlow::Continue(())
    }
}

/// The outermost queries, each with what is compared with its column by IN.
#[derive(Default)]
pub(super) struct Subqueries {
    pub(super) found: Vec<(Query, Option<Expr>)>,
    depth: usize,
    /// The query behind an IN, by its place in memory, and what is before it.
    compared: Vec<(usize, Expr)>,
}

fn place(query: &Query) -> usize {
    std::ptr::from_ref(query).addr()
}

impl Visitor for Subqueries {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if let Expr::In { expr, target: InTarget::Subquery(query), .. } = expr {
            self.compared.push((place(query), (**expr).clone()));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        if self.depth == 0 {
            let compared =
                self.compared.iter().find(|(at, _)| *at == place(query)).map(|(_, expr)| expr.clone());
            self.found.push((query.clone(), compared));
        }
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }
}

/// Aggregates and windows, but for those in queries inside.
pub(super) struct Calls<'a> {
    pub(super) aggregates: &'a BTreeSet<String>,
    pub(super) depth: usize,
    pub(super) has_aggregate: bool,
    pub(super) windows: Vec<WindowType>,
}

impl Visitor for Calls<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expr
            && self.depth == 0
        {
            match &function.over {
                Some(window) => self.windows.push(window.clone()),
                None => self.has_aggregate |= is_aggregate(function, self.aggregates),
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }
}

/// Whether a call makes one value of several rows.
pub(super) fn is_aggregate(function: &Function, aggregates: &BTreeSet<String>) -> bool {
    function.over.is_none() && name_of(function).is_some_and(|name| aggregates.contains(&name))
}

/// Whether a group is several at once.
pub(super) fn is_several(group: &Expr) -> bool {
    matches!(group, Expr::GroupingSets(_) | Expr::Cube(_) | Expr::Rollup(_))
        || matches!(group, Expr::Function(function) if name_of(function).is_some_and(|name| ["cube", "rollup"].contains(&name.as_str())))
}

/// The last part of a name.
pub(super) fn last_name(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Identifier(name) => Some(name.value.clone()),
        Expr::CompoundIdentifier(names) => Some(names.last()?.value.clone()),
        _ => None,
    }
}

/// The expression of an output column.
pub(super) fn expr_of(item: &SelectItem) -> Option<&Expr> {
    match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr),
        _ => None,
    }
}

/// A position as in `GROUP BY 2`, from 1.
pub(super) fn position_of(expr: &Expr) -> Option<usize> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::Number(text, _) => text.parse().ok().filter(|at| *at > 0),
            _ => None,
        },
        _ => None,
    }
}

/// What an output column computes, if an expression is its position.
pub(super) fn output_of<'e>(expr: &Expr, projection: &'e [SelectItem]) -> Option<&'e Expr> {
    let items = projection.get(..position_of(expr)?)?;
    // A wildcard stands for any number of columns.
    items.iter().all(|item| expr_of(item).is_some()).then(|| items.last().and_then(expr_of))?
}

/// What a window of this name is partitioned by.
pub(super) fn window_of(name: Option<&str>, windows: &[NamedWindowDefinition]) -> Vec<Expr> {
    let Some(NamedWindowDefinition(_, window)) =
        windows.iter().find(|window| Some(window.0.value.as_str()) == name)
    else {
        return Vec::new();
    };
    match window {
        NamedWindowExpr::NamedWindow(_) => Vec::new(),
        NamedWindowExpr::WindowSpec(spec) => spec.partition_by.clone(),
    }
}
