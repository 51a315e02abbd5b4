//! What is found in expressions: queries, aggregates, windows.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, Function, InTarget, NamedWindowDefinition, NamedWindowExpr, ObjectName, Query, SelectItem, Value,
    Visitor, WindowType,
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

/// Counts the relations.
pub(super) struct Relations(pub(super) usize);

impl Visitor for Relations {
    type Break = ();

    fn pre_visit_relation(&mut self, _: &ObjectName) -> ControlFlow<()> {
        self.0 += 1;
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
    projection.get(position_of(expr)? - 1).and_then(expr_of)
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
