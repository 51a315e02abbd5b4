//! `rebalance status`: the progress of a rebalance that any process runs.

use crate::commands::Context;
use crate::error::{Error, Kind, Result};
use crate::model::report::{Cell, Column, Report};
use crate::model::ring::topology::Epoch;
use crate::pg::rebalance::{self, Outline, Planned, RebalanceStatus};

pub(crate) fn status(context: &Context<'_>) -> Result<Report> {
    let RebalanceStatus { planned, runner, outline } = rebalance::status(&*context.cluster()?)?;
    let columns = [
        Column::text("state"),
        Column::number("epoch"),
        Column::text("phase"),
        Column::number("phase_seconds"),
        Column::text("runner"),
        Column::text("at_work"),
        Column::number("rows_moved"),
        Column::number("rows_total"),
        Column::bytes("bytes_moved"),
        Column::bytes("bytes_total"),
        Column::number("seconds"),
    ];
    // Whether a change is under way, is being canceled, or is planned.
    let (is_under_way, goes_back, is_requested) = match (&planned, &outline) {
        (Some(planned), _) => (planned.is_under_way, planned.goes_back, true),
        (None, Some(outline)) => (outline.is_under_way, outline.goes_back, outline.is_desired),
        (None, None) => (false, false, false),
    };
    let state = match (is_under_way, goes_back, is_requested) {
        (true, true, _) => "going back",
        (true, false, _) => "under way",
        (false, _, true) => "planned",
        (false, _, false) => "idle",
    };
    let is_at_work = runner.as_ref().is_some_and(|runner| runner.is_at_work);
    // A runner that has ended says nothing about a change that has not begun.
    let shown_runner =
        runner.filter(|runner| runner.is_at_work || state == "under way" || state == "going back");
    let load =
        |of: &dyn Fn(&Planned) -> u64| planned.as_ref().map_or(Cell::Null, |planned| of(planned).into());
    // A chunk that is moving is counted on both shards; the runner counts it once.
    let by_runner = shown_runner.as_ref().filter(|runner| runner.is_at_work).map(|runner| runner.total);
    let total = |planned: &Planned| by_runner.unwrap_or(planned.moved.plus(planned.plan.moving()));
    let row = vec![
        state.into(),
        planned
            .as_ref()
            .map(|planned| planned.epoch)
            .or(outline.as_ref().map(|outline| outline.epoch))
            .map(Epoch::number)
            .into(),
        shown_runner.as_ref().map(|runner| runner.phase.as_str()).into(),
        shown_runner.as_ref().map(|runner| runner.phase_seconds).into(),
        shown_runner.as_ref().map(|runner| runner.name.as_str()).into(),
        is_at_work.into(),
        load(&|planned| planned.moved.rows),
        load(&|planned| total(planned).rows),
        load(&|planned| planned.moved.bytes),
        load(&|planned| total(planned).bytes),
        shown_runner.as_ref().map(|runner| runner.seconds).into(),
    ];
    let mut report = Report::one(&columns, row);
    if let Some(Outline { missing, .. }) = outline {
        let message = "this status covers only the shards that answer";
        report.failure = Some(Error::new(Kind::Partial, message).hint(
            "a rebalance can continue, or be canceled, once all shards answer; ringshard shards shows which do not",
        ));
        report.warnings.push(missing);
        return Ok(report);
    }
    report.notes.push(
        match (state, is_at_work) {
            ("idle", _) => "nothing is planned and nothing is under way",
            ("planned", false) => "nothing has moved yet; next: ringshard rebalance --dry-run",
            (_, true) => "a process is running it",
            (_, false) => {
                "no process is running it: ringshard rebalance continues it, ringshard rebalance cancel undoes it"
            }
        }
        .into(),
    );
    Ok(report)
}
