//! `rebalance status`: how a change stands, for any process to ask.

use super::number;
use crate::commands::Context;
use crate::error::{Error, Kind, Result};
use crate::model::report::{Cell, Column, Report};
use crate::model::ring::topology::Epoch;
use crate::pg::rebalance;
use crate::pg::rebalance::{Outline, Planned, RebalanceStatus};

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
        Column::number("bytes_moved"),
        Column::number("bytes_total"),
        Column::number("seconds"),
    ];
    // Under way, goes back, and whether there is anything to do.
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
    // Who is long gone tells nothing of a change that has not begun.
    let told = runner.filter(|runner| runner.is_at_work || state == "under way" || state == "going back");
    let load =
        |of: &dyn Fn(&Planned) -> u64| planned.as_ref().map_or(Cell::Null, |planned| number(of(planned)));
    // What is just being moved is seen on both sides: who is at it knows better.
    let by_runner = told.as_ref().filter(|runner| runner.is_at_work).map(|runner| runner.total);
    let total = |planned: &Planned| by_runner.unwrap_or(planned.moved.plus(planned.plan.moving()));
    let row = vec![
        state.into(),
        planned
            .as_ref()
            .map(|planned| planned.epoch)
            .or(outline.as_ref().map(|outline| outline.epoch))
            .map(Epoch::number)
            .into(),
        told.as_ref().map(|runner| runner.phase.as_str()).into(),
        told.as_ref().map(|runner| runner.phase_seconds).into(),
        told.as_ref().map(|runner| runner.name.as_str()).into(),
        is_at_work.into(),
        load(&|planned| planned.moved.rows),
        load(&|planned| total(planned).rows),
        load(&|planned| planned.moved.bytes),
        load(&|planned| total(planned).bytes),
        told.as_ref().map(|runner| runner.seconds).into(),
    ];
    let mut report = Report::one(&columns, row);
    if let Some(Outline { missing, .. }) = outline {
        let message = "this is how it stands by the word of the shards that answer";
        report.failure = Some(Error::new(Kind::Partial, message).hint(
            "a change can go on, or back, once all shards answer; ringshard shards shows which do not",
        ));
        report.warnings.push(missing);
        return Ok(report);
    }
    report.notes.push(
        match (state, is_at_work) {
            ("idle", _) => "the ring is as it is wished for",
            ("planned", false) => "nothing has moved yet; next: ringshard rebalance --dry-run",
            (_, true) => "somebody is at it",
            (_, false) => {
                "nobody is at it: ringshard rebalance goes on, ringshard rebalance cancel goes back"
            }
        }
        .into(),
    );
    Ok(report)
}
