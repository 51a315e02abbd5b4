//! `doctor`: a tick or a cross for each check, with a hint for every cross.

use clap::Args;

use crate::commands::Context;
use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::model::report::{Cell, Column, Report};
use crate::pg::doctor::{self, ConfiguredBy};
use crate::pg::two_phase;
use crate::settings::Origin;

/// How many failed checks the last line names; the table has them all.
const CROSSES_NAMED: usize = 5;

/// The arguments of `doctor`: none.
#[derive(Debug, Args)]
pub struct DoctorArgs {}

/// Finishes transactions that a process left prepared, as far as shards answer. Returns what it did.
fn finish_prepared(context: &Context<'_>) -> Option<Error> {
    context.check_may_write().ok()?;
    let cluster = context.cluster().ok()?;
    let finished = two_phase::finish(&cluster);
    let outcomes = [
        ("committed", finished.committed),
        ("rolled back", finished.rolled_back),
        ("still at work", finished.at_work),
    ];
    let said = outcomes
        .iter()
        .filter(|(_, ids)| !ids.is_empty())
        .map(|(what, ids)| format!("{what}: {}", ids.len()));
    let said: Vec<String> = said.collect();
    (!said.is_empty()).then(|| {
        let message = format!("transactions on several shards were left prepared; {}", said.join(", "));
        Error::new(Kind::Partial, message)
    })
}

impl DoctorArgs {
    /// Examines all shards, also those that are down. Changes nothing but transactions that a process left prepared, which it finishes.
    pub fn run(&self, context: &Context<'_>) -> Result<Report> {
        let settings = context.settings();
        let shards = context.shards()?;
        let cluster = settings.cluster.as_ref().map(|cluster| cluster.value);
        let configured_by = match settings.shards.first().map(|(_, url)| &url.origin) {
            Some(Origin::Variable(name)) => ConfiguredBy::Variable(name),
            _ => ConfiguredBy::File(settings.file.value.display().to_string()),
        };
        let private = settings.private_server()?;
        let mut examination = doctor::examine(&shards, &private, cluster, &configured_by)?;
        let is_prepared =
            |finding: &doctor::Finding| finding.verdict.found.contains("transaction `ringshard:");
        let mut finished = None;
        if examination.findings.iter().any(is_prepared) {
            finished = finish_prepared(context);
            examination = doctor::examine(&shards, &private, cluster, &configured_by)?;
        }

        let mut report = Report::list(&[
            Column::text("shard"),
            Column::text("check"),
            Column::check("ok"),
            Column::text("found"),
            Column::text("hint"),
        ]);
        let mut crosses: Vec<String> = Vec::new();
        for finding in examination.findings {
            let verdict = finding.verdict;
            if verdict.ok == Some(false) {
                let shard = finding.shard.as_ref().map_or(String::new(), |shard| format!(" of `{shard}`"));
                crosses.push(format!("{}{shard}", finding.check));
            }
            report.push(vec![
                finding.shard.as_ref().map(ShardName::as_str).into(),
                finding.check.into(),
                verdict.ok.map_or(Cell::Null, Cell::Bool),
                verdict.found.into(),
                verdict.hint.into(),
            ]);
        }
        report.warnings.extend(finished);
        let checks = report.rows.len();
        if crosses.is_empty() {
            report.notes.push(format!("{checks} checks passed"));
            return Ok(report);
        }
        let shown = crosses.iter().take(CROSSES_NAMED).cloned().collect::<Vec<_>>().join(", ");
        let rest = if crosses.len() > CROSSES_NAMED { ", …" } else { "" };
        let failed = format!("{} of {checks} checks failed: {shown}{rest}", crosses.len());
        let down: Vec<String> = examination.unreachable.iter().map(|name| format!("`{name}`")).collect();
        let error = match down.as_slice() {
            [] => Error::new(Kind::Failed, failed),
            [one] => Error::new(Kind::Unreachable, format!("shard {one} cannot be reached; {failed}")),
            many => Error::new(
                Kind::Unreachable,
                format!("shards {} cannot be reached; {failed}", many.join(", ")),
            ),
        };
        report.failure = Some(error.hint("follow the column `hint`, then: ringshard doctor"));
        Ok(report)
    }
}
