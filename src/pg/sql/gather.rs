//! The copies of tables on one shard, for a statement that cannot be split.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use postgres::types::Type;
use sqlparser::ast::{Ident, ObjectName, Query, Select, SelectItem, TableFactor, Visit, Visitor, VisitorMut};

use crate::error::Result;
use crate::model::sql;
use crate::model::table::Tables;
use crate::pg::scan::snapshot::ShardSnapshot;

/// The names in a query that may be columns.
#[derive(Default)]
pub(super) struct Needed {
    names: BTreeSet<String>,
    has_wildcard: bool,
}

impl Needed {
    pub(super) fn of(query: &Query) -> Self {
        let mut needed = Self::default();
        let _ = Visit::visit(query, &mut needed);
        needed
    }

    /// Whether whole rows are needed.
    pub(super) fn is_whole(&self, aliases: &BTreeSet<String>) -> bool {
        self.has_wildcard || !self.names.is_disjoint(aliases)
    }

    /// Those that are columns of a table.
    pub(super) fn columns_of(&self, part: &ShardSnapshot, table: &str) -> Result<String> {
        let (names, table): (Vec<String>, _) = (self.names.iter().cloned().collect(), table.to_owned());
        let sql = "SELECT coalesce(pg_catalog.string_agg(pg_catalog.quote_ident(attname), ', ' ORDER BY attnum), '1 AS one') \
                   FROM pg_catalog.pg_attribute \
                   WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped AND attname = ANY ($2)";
        part.query("read the columns", move |transaction| {
            let rows = transaction.query_typed(sql, &[(&table, Type::TEXT), (&names, Type::TEXT_ARRAY)])?;
            Ok(rows.first().map_or_else(|| "*".into(), |row| row.get(0)))
        })
    }
}

impl Visitor for Needed {
    type Break = ();

    fn pre_visit_ident(&mut self, name: &Ident) -> ControlFlow<()> {
        self.names.insert(name.value.clone());
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        let is_wildcard =
            |item: &SelectItem| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..));
        self.has_wildcard |= select.projection.iter().any(is_wildcard);
        ControlFlow::Continue(())
    }
}

/// The name of the copy of a table.
pub(super) fn gathered_name(number: usize) -> String {
    format!("pg_temp.ringshard_gathered_{}", number + 1)
}

/// Puts the copies in the places of the sharded tables.
pub(super) struct Gather<'a> {
    pub(super) tables: &'a Tables,
    pub(super) ctes: BTreeSet<String>,
    pub(super) found: Vec<String>,
    pub(super) aliases: BTreeSet<String>,
}

impl VisitorMut for Gather<'_> {
    type Break = ();

    fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let Some((table, alias)) = sql::sharded_at(self.tables, &self.ctes, factor) {
            self.aliases.insert(alias.name.value.clone());
            let name = table.name.as_sql();
            let known = self.found.iter().position(|found| found == name);
            let number = known.unwrap_or_else(|| {
                self.found.push(name.to_owned());
                self.found.len() - 1
            });
            if let TableFactor::Table { name, alias: own, .. } = factor {
                *name = ObjectName::from(vec![
                    Ident::new("pg_temp"),
                    Ident::new(format!("ringshard_gathered_{}", number + 1)),
                ]);
                *own = Some(alias);
            }
        }
        ControlFlow::Continue(())
    }
}
