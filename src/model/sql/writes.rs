//! The keys of statements that write.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use sqlparser::ast::{
    Delete, Expr, FromTable, Insert, ObjectName, Parens, Query, SelectItem, SetExpr, Statement, TableFactor,
    TableObject, TableWithJoins, Update, UpdateTableFromKind, Visit as _, Visitor,
};

use super::calls::Subqueries;
use super::keys::key_of;
use super::locality::{Found, analyse_write};
use super::{Reason, because, expression, table_of};
use crate::model::table::{KeyType, Tables};

/// Finds the keys of a statement that is no query; none if it is of another kind.
pub fn analyse(tables: &Tables, statement: &Statement) -> Found {
    match statement {
        Statement::Update(update) => {
            let Update { table, from, selection, .. } = update;
            let more = match from {
                Some(UpdateTableFromKind::BeforeSet(from) | UpdateTableFromKind::AfterSet(from)) => {
                    from.as_slice()
                }
                None => &[],
            };
            let from: Vec<TableWithJoins> = std::iter::once(table.clone()).chain(more.to_vec()).collect();
            let mut others = Subqueries::default();
            let _ = update.assignments.visit(&mut others);
            let _ = update.returning.visit(&mut others);
            analyse_write(tables, &from, selection.as_ref(), others, statement)
        }
        Statement::Delete(delete) => {
            let Delete {
                from: FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from),
                using,
                selection,
                returning,
                ..
            } = delete;
            let from: Vec<TableWithJoins> = from.iter().chain(using.iter().flatten()).cloned().collect();
            let mut others = Subqueries::default();
            let _ = returning.visit(&mut others);
            analyse_write(tables, &from, selection.as_ref(), others, statement)
        }
        Statement::Insert(insert) => inserted(tables, insert, statement),
        _ => Found::default(),
    }
}

/// A statement that writes on all shards.
#[derive(Debug)]
pub enum Everywhere {
    /// The same statement on each shard, about the rows that it has.
    Same,
    /// The rows of an INSERT: each with its key, which has the index of its expression.
    Rows(Vec<String>),
    /// A change of rows that are the same on every shard; the statement with the rows that it wrote, as text, in its last column.
    Reference(Box<Statement>),
}

/// How a statement that writes runs on all shards; the reason if it cannot.
pub fn everywhere(tables: &Tables, statement: &Statement) -> Result<Everywhere, Reason> {
    let found = analyse(tables, statement);
    if found.names_reference && !found.names_sharded && found.unknown.is_empty() && !found.is_opaque {
        return returning_rows(statement).map(|statement| Everywhere::Reference(Box::new(statement)));
    }
    if let Some(why) = found.reasons.into_iter().next() {
        return because(why);
    }
    if !found.unknown.is_empty() || found.is_opaque || !found.names_sharded {
        return because(
            "it does not write rows of one table of this cluster (ringshard table list shows them)",
        );
    }
    match (statement, found.keys) {
        (Statement::Insert(_), Some(_)) => keys_of_rows(tables, statement).map(Everywhere::Rows),
        (Statement::Insert(_), None) => {
            because("the rows of the INSERT must be in VALUES, each with its sharding key as a constant")
        }
        _ => Ok(Everywhere::Same),
    }
}

/// The same INSERT with some of its rows.
pub fn with_rows(statement: &Statement, rows: &BTreeSet<usize>) -> Option<Statement> {
    let mut statement = statement.clone();
    let Statement::Insert(insert) = &mut statement else { return None };
    let SetExpr::Values(values) = &mut *insert.source.as_mut()?.body else { return None };
    let mut at = 0;
    values.rows.retain(|_| {
        at += 1;
        rows.contains(&(at - 1))
    });
    Some(statement)
}

/// The key of each row of an INSERT.
fn keys_of_rows(tables: &Tables, statement: &Statement) -> Result<Vec<String>, Reason> {
    let not_known = || Reason("the keys of its rows are not known".into());
    let Statement::Insert(insert) = statement else { return Err(not_known()) };
    let Some((at, of, rows)) = rows_of(tables, insert) else { return Err(not_known()) };
    rows.map(|row| row.content.get(at).and_then(|value| key_of(value, of)).ok_or_else(not_known)).collect()
}

/// The rows in the VALUES of an INSERT, with the column of the sharding key and its type.
fn rows_of<'i>(
    tables: &Tables,
    insert: &'i Insert,
) -> Option<(usize, KeyType, impl Iterator<Item = &'i Parens<Vec<Expr>>>)> {
    let TableObject::TableName(name) = &insert.table else { return None };
    let key = table_of(tables, name)?.key.as_ref()?;
    let last =
        |name: &ObjectName| name.0.last().and_then(|part| part.as_ident()).map(|name| name.value.clone());
    let at = insert.columns.iter().position(|column| last(column).as_deref() == Some(key.column.as_str()))?;
    let source = insert.source.as_ref()?;
    // They would count the rows of each part.
    let is_plain = source.order_by.is_none() && source.limit_clause.is_none() && source.fetch.is_none();
    let SetExpr::Values(values) = &*source.body else { return None };
    is_plain.then(|| (at, key.of, values.rows.iter()))
}

/// The statement with what it has written as the last column of its result.
fn returning_rows(statement: &Statement) -> Result<Statement, Reason> {
    let mut statement = statement.clone();
    let not_known = || Reason("it is not known which rows it writes".into());
    let row = |name: &str| {
        let name = name.replace('"', "\"\"");
        expression(&format!("(\"{name}\".*)::text")).map(SelectItem::UnnamedExpr).ok_or_else(not_known)
    };
    let of_factor = |factor: &TableFactor| match factor {
        TableFactor::Table { alias: Some(alias), .. } => Ok(alias.name.value.clone()),
        TableFactor::Table { name, .. } => own_name(name).ok_or_else(not_known),
        _ => Err(not_known()),
    };
    match &mut statement {
        Statement::Insert(insert) => {
            let TableObject::TableName(name) = &insert.table else { return Err(not_known()) };
            let name =
                insert.table_alias.as_ref().map(|alias| alias.alias.value.clone()).or_else(|| own_name(name));
            let item = row(&name.ok_or_else(not_known)?)?;
            insert.returning.get_or_insert_default().push(item);
        }
        Statement::Update(update) => {
            let item = row(&of_factor(&update.table.relation)?)?;
            update.returning.get_or_insert_default().push(item);
        }
        Statement::Delete(delete) => {
            let (FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from)) = &delete.from;
            let item = row(&of_factor(&from.first().ok_or_else(not_known)?.relation)?)?;
            delete.returning.get_or_insert_default().push(item);
        }
        _ => return Err(not_known()),
    }
    Ok(statement)
}

/// The name of a table without its schema.
fn own_name(name: &ObjectName) -> Option<String> {
    Some(name.0.last()?.as_ident()?.value.clone())
}

/// The keys of the rows of an INSERT.
fn inserted(tables: &Tables, insert: &Insert, statement: &Statement) -> Found {
    let mut found = Found::default();
    let TableObject::TableName(name) = &insert.table else { return found };
    let Some(table) = table_of(tables, name) else {
        found.unknown.push(name.to_string());
        return found;
    };
    let mut queries = Queries(0);
    let _ = statement.visit(&mut queries);
    if table.key.is_none() {
        found.names_reference = true;
        // It may read rows that are not the same on every shard.
        let is_values =
            insert.source.as_ref().is_none_or(|source| matches!(&*source.body, SetExpr::Values(_)));
        found.is_opaque = queries.0 > 1 || !is_values;
        return found;
    }
    found.names_sharded = true;
    let Some((at, of, rows)) = rows_of(tables, insert) else { return found };
    // Another query would see the rows of one shard.
    if queries.0 > 1 {
        return found;
    }
    let keys: Option<BTreeSet<String>> =
        rows.map(|row| row.content.get(at).and_then(|value: &Expr| key_of(value, of))).collect();
    found.keys = keys.map(|keys| keys.into_iter().collect());
    found
}

/// Whether a query has a statement in it that writes, as in `WITH gone AS (DELETE …)`, or makes a table (`INTO`).
pub fn changes_rows(query: &Query) -> bool {
    query.visit(&mut Changes).is_break()
}

/// Breaks at the first part of a query that changes something.
struct Changes;

impl Visitor for Changes {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        if is_change(&query.body) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

fn is_change(body: &SetExpr) -> bool {
    match body {
        SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => true,
        SetExpr::Select(select) => select.into.is_some(),
        SetExpr::SetOperation { left, right, .. } => is_change(left) || is_change(right),
        _ => false,
    }
}

/// Counts queries, also those inside others.
struct Queries(usize);

impl Visitor for Queries {
    type Break = ();

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.0 += 1;
        ControlFlow::Continue(())
    }
}
