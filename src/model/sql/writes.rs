//! The keys of statements that write.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use sqlparser::ast::{
    Delete, Expr, FromTable, Insert, ObjectName, Query, SetExpr, Statement, TableObject, TableWithJoins,
    Update, UpdateTableFromKind, Visit as _, Visitor,
};

use super::calls::Subqueries;
use super::keys::key_of;
use super::locality::{Found, analyse_write};
use super::table_of;
use crate::model::table::Tables;

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

/// The keys of the rows of an INSERT.
fn inserted(tables: &Tables, insert: &Insert, statement: &Statement) -> Found {
    let mut found = Found::default();
    let TableObject::TableName(name) = &insert.table else { return found };
    let Some(table) = table_of(tables, name) else {
        found.unknown.push(name.to_string());
        return found;
    };
    let Some(key) = &table.key else {
        found.names_reference = true;
        return found;
    };
    found.names_sharded = true;
    let last =
        |name: &ObjectName| name.0.last().and_then(|part| part.as_ident()).map(|name| name.value.clone());
    let Some(at) =
        insert.columns.iter().position(|column| last(column).as_deref() == Some(key.column.as_str()))
    else {
        return found;
    };
    // Another query would see the rows of one shard.
    let mut queries = Queries(0);
    let _ = statement.visit(&mut queries);
    if queries.0 > 1 {
        return found;
    }
    let Some(SetExpr::Values(values)) = insert.source.as_ref().map(|source| &*source.body) else {
        return found;
    };
    let keys: Option<BTreeSet<String>> = values
        .rows
        .iter()
        .map(|row| row.content.get(at).and_then(|value: &Expr| key_of(value, key.of)))
        .collect();
    found.keys = keys.map(|keys| keys.into_iter().collect());
    found
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
