//! Expressions over the parts of the shards in place of those over tables.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use sqlparser::ast::{
    DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList,
    FunctionArguments, Ident, ObjectName, Query, SelectItem, Value, VisitMut as _, Visitor, VisitorMut,
};

use super::calls::{is_aggregate, name_of};
use super::column;

/// The type of a column, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// bigint
    Bigint,
    /// numeric
    Numeric,
    /// double precision or interval, which are divided by double precision.
    Divisible,
    /// Any other.
    Other,
}

/// What the names of generated columns begin with.
const PREFIX: &str = "ringshard_";

/// Aggregates whose result for all rows is that of the results for some.
const SAME: [&str; 8] = ["min", "max", "bool_and", "bool_or", "every", "bit_and", "bit_or", "bit_xor"];

fn is_generated(expr: &Expr) -> bool {
    matches!(expr, Expr::Identifier(name) if name.value.starts_with(PREFIX))
}

/// A column that is referred to.
fn is_column(expr: &Expr) -> bool {
    matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_)) && !is_generated(expr)
}

fn named(expr: Expr, name: String) -> SelectItem {
    SelectItem::ExprWithAlias { expr, alias: Ident::new(name) }
}

/// The number of an expression in a list, to which it is added if it is new; from 1.
fn number_in(list: &mut Vec<Expr>, expr: &Expr) -> usize {
    let at = list.iter().position(|known| known == expr);
    at.unwrap_or_else(|| {
        list.push(expr.clone());
        list.len() - 1
    }) + 1
}

/// Replaces groups by columns, other columns too (each depends on the groups), and aggregates by those over the parts.
#[derive(Debug)]
pub(super) struct Aggregates {
    groups: Vec<Expr>,
    /// Columns that depend on the groups.
    dependent: Vec<Expr>,
    functions: BTreeSet<String>,
    calls: Vec<Expr>,
    /// What the shards compute for the calls.
    partials: Vec<Expr>,
}

impl Aggregates {
    pub(super) fn new(groups: &[Expr], aggregates: &BTreeSet<String>) -> Self {
        Self {
            groups: groups.to_vec(),
            dependent: Vec::new(),
            functions: aggregates.clone(),
            calls: Vec::new(),
            partials: Vec::new(),
        }
    }

    /// Whether a column is neither a group nor in an aggregate: then Postgres knows that it depends on the groups, or reads an
    /// expression as one of the groups that is written otherwise.
    pub(super) fn has_others(&self) -> bool {
        !self.dependent.is_empty()
    }

    /// How many columns the groups have.
    pub(super) fn groups_count(&self) -> usize {
        self.groups.len() + self.dependent.len()
    }

    /// The columns by which the rest groups.
    pub(super) fn group_columns(&self) -> Vec<Expr> {
        let groups = (1..=self.groups.len()).map(|number| format!("{PREFIX}g{number}"));
        groups
            .chain((1..=self.dependent.len()).map(|number| format!("{PREFIX}f{number}")))
            .map(|name| column(&name))
            .collect()
    }

    /// What the shards compute, under the names that the rest knows.
    pub(super) fn items(&self) -> Vec<SelectItem> {
        let list = |letter: &'static str, exprs: &[Expr]| {
            let items = exprs.iter().enumerate();
            items
                .map(|(at, expr)| named(expr.clone(), format!("{PREFIX}{letter}{}", at + 1)))
                .collect::<Vec<_>>()
        };
        let mut items =
            [list("g", &self.groups), list("f", &self.dependent), list("p", &self.partials)].concat();
        if items.is_empty() {
            items.push(named(Expr::value(Value::Number("1".into(), false)), format!("{PREFIX}p1")));
        }
        items
    }

    /// Replaces the calls, now that the types of the columns are known. `None` if one cannot be computed so.
    pub(super) fn finish(&self, query: &mut Query, kinds: &[Kind]) -> Option<()> {
        let partials = kinds.get(self.groups_count()..)?;
        let merged: Option<Vec<Expr>> = self.calls.iter().map(|call| self.merged(call, partials)).collect();
        let _ = query.visit(&mut Fill(merged?));
        Some(())
    }

    /// An aggregate over the parts.
    fn merged(&self, call: &Expr, kinds: &[Kind]) -> Option<Expr> {
        let Expr::Function(function) = call else { return None };
        let name = name_of(function)?;
        let of = |expr: &Expr| {
            let at = self.partials.iter().position(|known| known == expr)?;
            Some((format!("{PREFIX}p{}", at + 1), *kinds.get(at)?))
        };
        let text = match name.as_str() {
            "count" => format!("CAST(sum({}) AS bigint)", of(call)?.0),
            "sum" => match of(call)? {
                (part, Kind::Bigint) => format!("CAST(sum({part}) AS bigint)"),
                (part, _) => format!("sum({part})"),
            },
            "avg" => {
                let [sum, count] = sum_and_count(function);
                let ((sum, kind), (count, _)) = (of(&sum)?, of(&count)?);
                match kind {
                    Kind::Bigint | Kind::Numeric => format!("sum({sum}) / nullif(sum({count}), 0)"),
                    Kind::Divisible => {
                        format!("sum({sum}) / CAST(nullif(sum({count}), 0) AS double precision)")
                    }
                    Kind::Other => return None,
                }
            }
            same => format!("{same}({})", of(call)?.0),
        };
        super::expression(&format!("({text})"))
    }
}

/// The two aggregates of which an average is made.
fn sum_and_count(function: &Function) -> [Expr; 2] {
    ["sum", "count"].map(|name| {
        Expr::Function(Function { name: ObjectName::from(vec![Ident::new(name)]), ..function.clone() })
    })
}

impl VisitorMut for Aggregates {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if is_generated(expr) {
            return ControlFlow::Continue(());
        }
        // A number may be a position.
        let is_literal = matches!(expr, Expr::Value(_));
        if let Some(at) = self.groups.iter().position(|group| group == expr).filter(|_| !is_literal) {
            *expr = column(&format!("{PREFIX}g{}", at + 1));
        } else if let Expr::Function(function) = &*expr
            && is_aggregate(function, &self.functions)
        {
            if name_of(function).as_deref() == Some("avg") {
                for partial in sum_and_count(function) {
                    number_in(&mut self.partials, &partial);
                }
            } else {
                number_in(&mut self.partials, expr);
            }
            let number = number_in(&mut self.calls, expr);
            *expr = column(&format!("{PREFIX}a{number}"));
        } else if is_column(expr) {
            let number = number_in(&mut self.dependent, expr);
            *expr = column(&format!("{PREFIX}f{number}"));
        }
        ControlFlow::Continue(())
    }
}

/// Puts the merged aggregates where their calls were.
struct Fill(Vec<Expr>);

impl VisitorMut for Fill {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Identifier(name) = &*expr
            && let Some(number) =
                name.value.strip_prefix("ringshard_a").and_then(|number| number.parse::<usize>().ok())
            && let Some(merged) = self.0.get(number - 1)
        {
            *expr = merged.clone();
        }
        ControlFlow::Continue(())
    }
}

/// Whether all aggregates can be made of those of the parts.
pub(super) struct Splittable<'a> {
    pub(super) aggregates: &'a BTreeSet<String>,
    pub(super) all: bool,
}

impl Visitor for Splittable<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expr
            && is_aggregate(function, self.aggregates)
        {
            self.all &= is_splittable(function);
        }
        ControlFlow::Continue(())
    }
}

fn is_splittable(function: &Function) -> bool {
    let name = name_of(function).unwrap_or_default();
    // One of this name in another schema may do anything.
    let is_plain = function.name.0.len() == 1 && function.within_group.is_empty();
    let FunctionArguments::List(FunctionArgumentList { duplicate_treatment, args, clauses }) = &function.args
    else {
        return false;
    };
    let is_distinct = matches!(duplicate_treatment, Some(DuplicateTreatment::Distinct));
    let is_known = match name.as_str() {
        "count" | "sum" | "avg" => !is_distinct,
        name => SAME.contains(&name),
    };
    let is_plain_argument = |arg: &FunctionArg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Wildcard) => name == "count",
        FunctionArg::Unnamed(FunctionArgExpr::Expr(_)) => true,
        _ => false,
    };
    is_plain && is_known && clauses.is_empty() && args.len() == 1 && args.iter().all(is_plain_argument)
}

/// Replaces each column by one of the parts.
#[derive(Debug, Default)]
pub(super) struct Columns(Vec<Expr>);

impl Columns {
    /// The columns, under the names that the rest knows.
    pub(super) fn items(&self) -> Vec<SelectItem> {
        let one = [Expr::value(Value::Number("1".into(), false))];
        let columns = if self.0.is_empty() { &one[..] } else { &self.0 };
        columns
            .iter()
            .enumerate()
            .map(|(at, expr)| named(expr.clone(), format!("{PREFIX}c{}", at + 1)))
            .collect()
    }
}

impl VisitorMut for Columns {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if is_column(expr) {
            let number = number_in(&mut self.0, expr);
            *expr = column(&format!("{PREFIX}c{number}"));
        }
        ControlFlow::Continue(())
    }
}
