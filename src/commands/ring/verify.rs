//! `verify`: checks that each row is on its owner and nowhere else; with `--fix` it repairs.

use crate::pg::{failover, rows, tables, verify};
use clap::Args;

use crate::commands::{Console, Context, Progress};
use crate::error::{Error, Kind, Result};
use crate::model::failover_plan::LOST_HANDOVER_HINT;
use crate::model::report::{Column, Report};
use crate::model::text::{counted, thousands};
use crate::model::verification::RingFault;
use crate::pg::cluster::Cluster;
use crate::pg::failover::StalePrimary;
use crate::pg::verify::{Repaired, Verified};

const COLUMNS: [Column; 6] = [
    Column::text("shard"),
    Column::number("rows"),
    Column::number("misplaced"),
    Column::number("duplicate"),
    Column::number("differing"),
    Column::number("missing"),
];

/// The arguments of `verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Compare the contents of users that are on two shards
    #[arg(long)]
    pub(crate) deep: bool,
    /// Move misplaced rows to their owner; a row that differs from the owner's goes to ringshard.quarantine
    #[arg(long)]
    pub(crate) fix: bool,
}

impl VerifyArgs {
    /// Checks every row of every shard, and with --fix repairs what is wrong.
    pub fn run(&self, context: &Context<'_>) -> Result<Report> {
        let cluster = context.cluster()?;
        cluster.refresh()?;
        let (mut stale_primaries, mut errors) = (Vec::new(), Vec::new());
        for found in failover::fence_stale_primaries(&cluster) {
            match found {
                Ok(stale_primary) => stale_primaries.push(stale_primary),
                Err(error) => errors.push(error),
            }
        }
        failover::include_stale_primaries(&cluster, &stale_primaries)?;
        let mut report = self.check(context, &cluster, stale_primaries)?;
        report.warnings.extend(errors);
        let mut differing = tables::differing_references(&cluster, &cluster.view().topology)?.into_iter();
        report.failure = report.failure.or_else(|| differing.next());
        report.warnings.extend(differing);
        Ok(report)
    }

    fn check(
        &self,
        context: &Context<'_>,
        cluster: &Cluster,
        stale_primaries: Vec<StalePrimary>,
    ) -> Result<Report> {
        let console = context.console();
        let progress = |rows| console.progress(Some(&Progress { rows, part: None, at: "verifying".into() }));
        let verify = |deep| {
            let verified = verify::verify(cluster, deep, progress);
            console.progress(None);
            verified
        };
        if !self.fix {
            return Ok(report(&verify(self.deep)?, None, &stale_primaries));
        }
        let restored = restore(cluster, console)?;
        // Begun before the rows are read, so that nothing moves until they are repaired.
        let mut fixing = verify::begin_repair(cluster, context.settings().standby_patience())?;
        let found = verify(true)?;
        if found.is_changing && !restored.is_empty() {
            let mut report = report(&found, None, &stale_primaries);
            report.warnings.extend(restored);
            report.notes.push("ringshard rebalance completes the change; then run ringshard verify".into());
            return Ok(report);
        }
        fixing.check(&found)?;
        if !found.faults.is_empty() {
            // Without a sound ring the owner of a row is not known.
            return Ok(report(&found, None, &stale_primaries));
        }
        if found.is_clean() {
            let mut report = report(&found, None, &stale_primaries);
            let is_idle = restored.is_empty();
            report.warnings.extend(restored);
            report.notes.extend(is_idle.then(|| "nothing to repair".to_owned()));
            return Ok(report);
        }
        console.confirm(&question(&found))?;
        let repaired = fixing.carry_out(&found, progress);
        console.progress(None);
        let repaired = repaired?;
        let again = verify(true)?;
        let (emptied, stale_primaries): (Vec<_>, Vec<_>) = stale_primaries
            .into_iter()
            .partition(|of| again.tallies.get(&of.name).is_some_and(|tally| tally.rows == 0));
        let mut report = report(&again, Some(repaired), &stale_primaries);
        report.warnings.extend(restored);
        for StalePrimary { name, url, .. } in emptied {
            failover::forget_stale_endpoint(cluster, &url)?;
            let aside =
                rows::left_on(cluster, &name).map_or(0, |(_, aside)| u64::try_from(aside).unwrap_or(0));
            report.notes.push(match aside {
                0 => format!("the database of `{name}` at {url} is empty and no longer used; it can be dropped"),
                aside => format!(
                    "the database of `{name}` at {url} is no longer used; before you drop it, look at the {} in its \
                     `ringshard.quarantine`: their owners have different rows with the same ids",
                    counted(aside, "row")
                ),
            });
        }
        Ok(report)
    }
}

/// Makes each primary serve that was promoted without hand-overs; what they handed over is lost. Returns what was done.
fn restore(cluster: &Cluster, console: &dyn Console) -> Result<Vec<Error>> {
    let mut warnings = Vec::new();
    // Each shard is restored once: then its primary is confirmed.
    while let Some(plan) = failover::plan_restorations(cluster)?.into_iter().next() {
        let (shard, at) = (&plan.shard, &plan.after);
        let lost: String = plan.missing_handovers.iter().map(|missing| format!("\n{missing}")).collect();
        console.confirm(&format!(
            "the primary of shard {shard} at {at} was promoted without hand-overs that its predecessor had committed:{lost}\n\
             Make it serve without them?"
        ))?;
        let done = failover::take_over(cluster, &plan)?;
        let message = format!(
            "shard `{shard}` serves again, without these hand-overs:{lost}\n{} went to `ringshard.quarantine` of that shard",
            counted(done.quarantined, "row")
        );
        warnings.push(Error::new(Kind::Failed, message).on_shard(shard));
    }
    Ok(warnings)
}

/// The warning that a stale primary is back.
pub(crate) fn warning(stale_primary: &StalePrimary) -> Error {
    let StalePrimary { shard, name, url, rows, is_new } = stale_primary;
    let fenced = if *is_new { "has just been fenced" } else { "is fenced" };
    let rows = counted(u64::try_from(*rows).unwrap_or(0), "row");
    let message = format!(
        "an old server of shard `{shard}` is back at {url}: it {fenced}, is named `{name}`, and holds {rows}"
    );
    let hint =
        "ringshard verify --fix moves the rows that their owners lack, and empties it; it overwrites nothing";
    Error::new(Kind::Failed, message).hint(hint).on_shard(name)
}

/// The question to confirm: what would be repaired.
fn question(found: &Verified) -> String {
    let plan = &found.plan;
    let parts = [
        (plan.to_move, "to be moved to the owner, which does not have the key"),
        (plan.to_purge, "to be deleted, because the owner has an equal row"),
        (
            plan.to_quarantine,
            "to be put into `ringshard.quarantine` of its shard, because the owner has a different row",
        ),
    ];
    let parts = parts.into_iter().filter(|(rows, _)| *rows > 0);
    let parts: Vec<String> = parts.map(|(rows, what)| format!("{}: {what}", counted(rows, "row"))).collect();
    format!(
        "misplaced: {}\n{}\nRepair them?",
        counted(found.sum(|tally| tally.misplaced), "row"),
        parts.join("\n")
    )
}

fn report(verified: &Verified, repaired: Option<Repaired>, stale_primaries: &[StalePrimary]) -> Report {
    let mut report = Report::list(&COLUMNS);
    report.warnings.extend(stale_primaries.iter().map(warning));
    for (shard, tally) in &verified.tallies {
        report.push(vec![
            shard.as_str().into(),
            tally.rows.into(),
            tally.misplaced.into(),
            tally.duplicate.into(),
            tally.differing.into(),
            tally.missing.into(),
        ]);
    }
    if let Some(Repaired { moved, purged, quarantined }) = repaired {
        report.notes.push(format!(
            "moved {}, purged {}, quarantined {}",
            counted(moved, "row"),
            counted(purged, "row"),
            counted(quarantined, "row")
        ));
    }
    if verified.is_changing {
        let in_flight = counted(verified.sum(|tally| tally.in_flight), "row");
        report.notes.push(format!("a rebalance is under way: {in_flight} in flight"));
    }
    if verified.unexamined > 0 {
        let rows = counted(verified.unexamined, "misplaced row");
        report.notes.push(format!("too many to examine one by one: {rows} were only counted"));
    }
    if verified.is_clean() {
        let rows = verified.sum(|tally| tally.rows - tally.in_flight);
        report.notes.push(format!("{}, each on its owner and nowhere else", counted(rows, verified.noun())));
    } else {
        report.failure = Some(failure(verified));
    }
    report
}

pub(crate) fn failure(verified: &Verified) -> Error {
    let rows = rows_misplaced(verified);
    if let Some(first) = verified.faults.first() {
        let more = match verified.faults.len() - 1 {
            0 => String::new(),
            more => format!(" (and {more} more)"),
        };
        let rows = rows.map_or(String::new(), |rows| format!("; {rows}"));
        let hint = match first {
            RingFault::Lost { .. } => LOST_HANDOVER_HINT,
            _ => "ringshard doctor shows how to repair it; then: ringshard verify",
        };
        return Error::new(Kind::Failed, format!("{first}{more}{rows}")).hint(hint);
    }
    let has_twins = verified.tallies.values().any(|tally| tally.duplicate > 0 && tally.differing.is_none());
    let hint = "ringshard verify --fix moves each row to its owner";
    let hint = if has_twins {
        format!("ringshard verify --deep compares rows that exist twice; {hint}")
    } else {
        hint.to_owned()
    };
    Error::new(Kind::Failed, rows.unwrap_or_default()).hint(hint)
}

/// What is wrong with the rows; `None` if nothing is.
fn rows_misplaced(verified: &Verified) -> Option<String> {
    let misplaced = verified.sum(|tally| tally.misplaced);
    if misplaced == 0 {
        return None;
    }
    let sums = [
        ("duplicate", verified.sum(|tally| tally.duplicate)),
        ("differing", verified.sum(|tally| tally.differing.unwrap_or_default())),
        ("missing", verified.sum(|tally| tally.missing)),
    ];
    let sums = sums.into_iter().filter(|(_, sum)| *sum > 0);
    let sums: String = sums.map(|(what, sum)| format!(", {what}: {}", thousands(sum))).collect();
    Some(format!("misplaced: {}{sums}", counted(misplaced, "row")))
}
