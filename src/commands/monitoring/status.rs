//! `status`: one screen of all: shards, the change of the ring, tables, replicas, and what is wrong.

use clap::Args;

use crate::commands::Context;
use crate::commands::failover::replica::ReplicaCommand;
use crate::commands::ring::rebalance::status::status;
use crate::commands::ring::shards::ShardsArgs;
use crate::commands::setup::doctor::DoctorArgs;
use crate::commands::table::TableCommand;
use crate::error::Result;
use crate::model::report::{Cell, Column, Report};
use crate::model::text::{bytes, counted};

/// The arguments of `status`: none.
#[derive(Debug, Args)]
pub struct StatusArgs {}

impl StatusArgs {
    /// Puts the answers of several commands on one screen. Shards that are down are told, and do not make it fail.
    pub fn run(&self, context: &Context<'_>) -> Result<Report> {
        let mut report = Report::list(&[Column::text("part"), Column::text("name"), Column::text("status")]);
        let shards = ShardsArgs::default().run(context)?;
        let is_of_users = context.cluster()?.view().topology.tables().is_default();
        for row in rows(&shards) {
            let [name, rows, share, state] =
                ["shard", "rows", "share_pct", "state"].map(|column| row.text(column));
            let size = row.number("size_bytes").map_or_else(String::new, |size| format!(", {}", bytes(size)));
            let rows = match row.number("rows") {
                Some(number) => counted(number, if is_of_users { "user" } else { "row" }),
                None => rows,
            };
            let share = if share.is_empty() { share } else { format!(", {share} % of the ring") };
            let status = if state == "down" { state } else { format!("{state}, {rows}{share}{size}") };
            report.push(vec!["shard".into(), name.into(), status.into()]);
        }
        let change = status(context);
        let is_at_work = change
            .as_ref()
            .is_ok_and(|change| rows(change).any(|row| row.cell("at_work") == Some(&Cell::Bool(true))));
        if let Ok(change) = &change
            && let Some(row) = rows(change).next()
        {
            let (state, moved, total) =
                (row.text("state"), row.number("rows_moved"), row.number("rows_total"));
            let part = match (moved, total) {
                (Some(moved), Some(total)) => format!(", {moved} of {} moved", counted(total, "row")),
                _ => String::new(),
            };
            let name = format!("epoch {}", row.text("epoch"));
            let name = if row.text("epoch").is_empty() { Cell::Null } else { name.into() };
            report.push(vec!["change".into(), name, (state + &part).into()]);
        }
        let (tables, replicas) = (TableCommand::List.run(context), ReplicaCommand::List.run(context));
        if let Err(error) = &tables {
            report.push(vec!["table".into(), Cell::Null, error.message().into()]);
        }
        for row in tables.iter().flat_map(rows) {
            let key = row.text("key");
            let key = if key.is_empty() { String::new() } else { format!(" by {key}") };
            let status = format!(
                "{}{key}, {}, {}",
                row.text("kind"),
                counted(row.number("rows").unwrap_or_default(), "row"),
                bytes(row.number("size_bytes").unwrap_or_default())
            );
            report.push(vec!["table".into(), row.text("table").into(), status.into()]);
        }
        for row in replicas.iter().flat_map(rows) {
            let lag =
                row.number("lag_bytes").map_or_else(String::new, |lag| format!(", {} behind", bytes(lag)));
            let status = format!("{} at {}{lag}", row.text("state"), row.text("url"));
            report.push(vec!["replica".into(), row.text("shard").into(), status.into()]);
        }
        let doctor = DoctorArgs {}.run(context)?;
        let mut wrong = 0;
        for row in rows(&doctor).filter(|row| row.cell("ok") == Some(&Cell::Bool(false))) {
            // A change that is carried out is no fault, and shards are not read at the same moment.
            if is_at_work && ["ring", "leftovers"].contains(&row.text("check").as_str()) {
                continue;
            }
            wrong += 1;
            let hint = row.text("hint");
            let hint = if hint.is_empty() { String::new() } else { format!("; {hint}") };
            let shard = row.text("shard");
            let name =
                if shard.is_empty() { row.text("check") } else { format!("{shard} {}", row.text("check")) };
            report.push(vec!["wrong".into(), name.into(), (row.text("found") + &hint).into()]);
        }
        report.notes.push(match wrong {
            0 => "nothing is wrong".into(),
            wrong => format!("{} failed: ringshard doctor shows all", counted(wrong, "check")),
        });
        Ok(report)
    }
}

/// A row of another command's answer.
struct Row<'a> {
    columns: &'a [Column],
    cells: &'a [Cell],
}

fn rows(report: &Report) -> impl Iterator<Item = Row<'_>> {
    report.rows.iter().map(|cells| Row { columns: &report.columns, cells })
}

impl Row<'_> {
    fn cell(&self, column: &str) -> Option<&Cell> {
        self.cells.get(self.columns.iter().position(|of| of.name == column)?)
    }

    fn text(&self, column: &str) -> String {
        match self.cell(column) {
            Some(Cell::Text(text) | Cell::Number(text)) => text.clone(),
            Some(Cell::Integer(number)) => number.to_string(),
            Some(Cell::Decimal(number, places)) => format!("{number:.places$}"),
            _ => String::new(),
        }
    }

    fn number(&self, column: &str) -> Option<u64> {
        match self.cell(column) {
            Some(Cell::Integer(number)) => u64::try_from(*number).ok(),
            _ => None,
        }
    }
}
