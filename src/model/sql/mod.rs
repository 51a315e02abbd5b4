//! What a statement in SQL asks of a sharded cluster: which keys it names, and how its answer is made of those of the shards.
//!
//! The parser is that of the crate `sqlparser`. It decides only about the route: each part is parsed and carried out by Postgres. Where
//! it does not know a statement, that statement runs by its key, on each shard by itself, or not at all.

pub mod calls;
mod keys;
mod level;
pub mod locality;
pub mod merge;
mod rewrite;
mod scope;
pub mod writes;

use std::collections::BTreeSet;
use std::fmt;
use std::ops::ControlFlow;

use sqlparser::ast::{
    AccessExpr, Expr, Ident, ObjectName, Query, SetExpr, Statement, TableAlias, TableFactor, Visit, VisitMut,
    Visitor, VisitorMut,
};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, Tokenizer};

use super::table::{Table, TableName, Tables};

/// The most tokens between commas: the parser builds a tree as deep as a chain of operators is long.
const OPERANDS_MAX: usize = 2_000;
/// The deepest nesting.
const DEPTH_MAX: usize = 50;

/// Why a statement cannot be split, in words that complete "…: ".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason(pub String);

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A reason.
pub(crate) fn because<T>(why: impl Into<String>) -> Result<T, Reason> {
    Err(Reason(why.into()))
}

/// One statement, with names that are not quoted in lower case, as Postgres reads them. An error if the parser does not know it;
/// Postgres may.
pub fn parse(text: &str) -> Result<Statement, Reason> {
    let dialect = PostgreSqlDialect {};
    let failed = |why: &dyn fmt::Display| Reason(format!("it could not be parsed here ({why})"));
    let tokens = Tokenizer::new(&dialect, text).tokenize_with_location().map_err(|why| failed(&why))?;
    let mut operands = 0;
    for token in &tokens {
        match token.token {
            Token::Comma => operands = 0,
            Token::Whitespace(_) => {}
            _ => operands += 1,
        }
        if operands > OPERANDS_MAX {
            return because(format!("it has more than {OPERANDS_MAX} words without a comma"));
        }
    }
    let mut parser = Parser::new(&dialect).with_recursion_limit(DEPTH_MAX).with_tokens_with_locations(tokens);
    let mut statements = parser.parse_statements().map_err(|why| failed(&why))?;
    let Some(mut statement) = statements.pop().filter(|_| statements.is_empty()) else {
        return because("it is not one statement");
    };
    let _ = VisitMut::visit(&mut statement, &mut Fold);
    // A whole query in parentheses.
    while let Statement::Query(query) = &mut statement
        && query.with.is_none()
        && query.order_by.is_none()
        && query.limit_clause.is_none()
        && query.fetch.is_none()
        && query.locks.is_empty()
        && let SetExpr::Query(inner) = &mut *query.body
    {
        statement = Statement::Query(inner.clone());
    }
    Ok(statement)
}

/// Makes names that are not quoted lower case, and `t.c[1]` a subscript of the column `t.c`.
struct Fold;

impl VisitorMut for Fold {
    type Break = ();

    fn pre_visit_ident(&mut self, name: &mut Ident) -> ControlFlow<()> {
        if name.quote_style.is_none() {
            name.value = name.value.to_lowercase();
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::CompoundFieldAccess { root, access_chain } = expr
            && let (Expr::Identifier(table), Some(AccessExpr::Dot(Expr::Identifier(column)))) =
                (&**root, access_chain.first())
        {
            **root = Expr::CompoundIdentifier(vec![table.clone(), column.clone()]);
            access_chain.remove(0);
        }
        ControlFlow::Continue(())
    }
}

/// The query of a statement that is one.
pub fn query_of(statement: &Statement) -> Option<&Query> {
    if let Statement::Query(query) = statement { Some(query) } else { None }
}

/// The table of a name; one without a schema is that of `public`, or else the only one of its name.
pub(crate) fn table_of<'a>(tables: &'a Tables, name: &ObjectName) -> Option<&'a Table> {
    let parts: Option<Vec<&str>> = name.0.iter().map(|part| Some(part.as_ident()?.value.as_str())).collect();
    let of = |schema: Option<&str>, table: &str| {
        tables
            .all()
            .iter()
            .filter(move |known| {
                let (its_schema, its_name) = parts_of(&known.name);
                its_name == table && schema.is_none_or(|schema| schema == its_schema)
            })
            .collect::<Vec<_>>()
    };
    match parts?.as_slice() {
        [schema, table] => of(Some(schema), table).first().copied(),
        [table] => match (of(Some("public"), table).as_slice(), of(None, table).as_slice()) {
            ([found], _) | ([], [found]) => Some(found),
            _ => None,
        },
        _ => None,
    }
}

/// The names of the queries in WITH clauses.
pub(crate) fn cte_names(query: &Query) -> BTreeSet<String> {
    struct Names(BTreeSet<String>);
    impl Visitor for Names {
        type Break = ();

        fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
            let with = query.with.iter().flat_map(|with| &with.cte_tables);
            self.0.extend(with.map(|cte| cte.alias.name.value.clone()));
            ControlFlow::Continue(())
        }
    }
    let mut names = Names(BTreeSet::new());
    let _ = Visit::visit(query, &mut names);
    names.0
}

/// The sharded table of an item in a FROM clause, and what it is called there.
pub(crate) fn sharded_at<'a>(
    tables: &'a Tables,
    ctes: &BTreeSet<String>,
    factor: &TableFactor,
) -> Option<(&'a Table, TableAlias)> {
    let TableFactor::Table { name, alias, args: None, .. } = factor else { return None };
    let own = name.0.last()?.as_ident()?;
    if name.0.len() == 1 && ctes.contains(&own.value) {
        return None;
    }
    let table = table_of(tables, name).filter(|table| table.key.is_some())?;
    let implicit = || TableAlias { explicit: true, name: own.clone(), columns: Vec::new(), at: None };
    Some((table, alias.clone().unwrap_or_else(implicit)))
}

/// Schema and name of a table, not quoted.
fn parts_of(name: &TableName) -> (String, String) {
    let (mut parts, mut is_quoted) = (vec![String::new()], false);
    let mut chars = name.as_sql().chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if is_quoted && chars.peek() == Some(&'"') => {
                chars.next();
                parts.last_mut().expect("it has one").push('"');
            }
            '"' => is_quoted = !is_quoted,
            '.' if !is_quoted => parts.push(String::new()),
            c => parts.last_mut().expect("it has one").push(c),
        }
    }
    let table = parts.pop().unwrap_or_default();
    (parts.pop().unwrap_or_default(), table)
}

/// A column of a generated table.
pub(crate) fn column(name: &str) -> Expr {
    Expr::Identifier(Ident::new(name))
}

/// An expression from its text.
pub(crate) fn expression(text: &str) -> Option<Expr> {
    Parser::new(&PostgreSqlDialect {}).try_with_sql(text).ok()?.parse_expr().ok()
}
