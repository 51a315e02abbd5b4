//! `verify`: every row on exactly one shard, its owner; and with `--fix`, what mends it.

use crate::pg::failover;
use crate::pg::rows;
use crate::pg::verify;
use clap::Args;

use crate::commands::{Context, Progress};
use crate::error::{Error, Kind, Result};
use crate::model::report::{Cell, Column, Report};
use crate::model::text::{counted, thousands};
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
    /// Compare the contents where a user lies twice
    #[arg(long)]
    pub(crate) deep: bool,
    /// Put each row where it belongs; what differs from its owner's row is kept in ringshard.quarantine
    #[arg(long)]
    pub(crate) fix: bool,
}

impl VerifyArgs {
    /// Looks at every row of every shard, and mends what is wrong if that is desired topology.
    pub fn run(&self, context: &Context<'_>) -> Result<Report> {
        let cluster = context.cluster()?;
        cluster.refresh()?;
        let (stale_primaries, missing_handovers): (Vec<_>, Vec<_>) =
            failover::fence_stale_primaries(&cluster).into_iter().partition(Result::is_ok);
        let stale_primaries: Vec<StalePrimary> = stale_primaries.into_iter().flatten().collect();
        let missing_handovers: Vec<Error> = missing_handovers.into_iter().filter_map(Result::err).collect();
        failover::include_stale_primaries(&cluster, &stale_primaries)?;
        let mut report = self.look(context, &cluster, stale_primaries)?;
        report.warnings.extend(missing_handovers);
        Ok(report)
    }

    fn look(
        &self,
        context: &Context<'_>,
        cluster: &Cluster,
        stale_primaries: Vec<StalePrimary>,
    ) -> Result<Report> {
        let console = context.console();
        let told = |rows| console.progress(Some(&Progress { rows, part: None, at: "verifying".into() }));
        let verify = |deep| {
            let verified = verify::verify(cluster, deep, told);
            console.progress(None);
            verified
        };
        if !self.fix {
            return Ok(report(&verify(self.deep)?, None, &stale_primaries));
        }
        // Before the look at the rows: what is seen stays so until it is repaired.
        let mut fixing = verify::begin_repair(cluster)?;
        let found = verify(true)?;
        fixing.check(&found)?;
        if !found.faults.is_empty() {
            // Where a row belongs is not known.
            return Ok(report(&found, None, &stale_primaries));
        }
        if found.is_clean() {
            let mut report = report(&found, None, &stale_primaries);
            report.notes.push("there is nothing to repair".into());
            return Ok(report);
        }
        console.confirm(&question(&found))?;
        let repaired = fixing.carry_out(&found, told);
        console.progress(None);
        let repaired = repaired?;
        let again = verify(true)?;
        let (emptied, stale_primaries): (Vec<_>, Vec<_>) = stale_primaries
            .into_iter()
            .partition(|of| again.tallies.get(&of.name).is_some_and(|tally| tally.rows == 0));
        let mut report = report(&again, Some(repaired), &stale_primaries);
        for StalePrimary { name, url, .. } in emptied {
            failover::forget_stale_endpoint(cluster, &url)?;
            let aside =
                rows::left_on(cluster, &name).map_or(0, |(_, aside)| u64::try_from(aside).unwrap_or(0));
            report.notes.push(match aside {
                0 => format!("`{name}` at {url} is empty now, and forgotten; that database can be dropped"),
                aside => format!(
                    "`{name}` at {url} is forgotten, and owns nothing; before that database is dropped, look at the {} in its \
                     `ringshard.quarantine`: their owners have others of these ids",
                    counted(aside, "user")
                ),
            });
        }
        Ok(report)
    }
}

/// That old data of a shard is there again.
pub(crate) fn told_of(stale_primaries: &StalePrimary) -> Error {
    let StalePrimary { shard, name, url, rows, is_newly_fenced } = stale_primaries;
    let since = if *is_newly_fenced { "is fenced from now on" } else { "is fenced" };
    let rows = counted(u64::try_from(*rows).unwrap_or(0), "user");
    let message = format!(
        "old data of shard `{shard}` is back at {url}: it {since}, is called `{name}`, and has {rows}"
    );
    let hint =
        "ringshard verify --fix brings home what the owners lack, and empties it; nothing is overwritten";
    Error::new(Kind::Failed, message).hint(hint).on_shard(name)
}

/// The plan, and whether it is desired topology.
fn question(found: &Verified) -> String {
    let plan = &found.plan;
    let parts = [
        (plan.to_move, "to be moved to the owner, which lacks the user"),
        (plan.to_purge, "to be deleted, as the owner has an equal one"),
        (
            plan.to_quarantine,
            "to be put into `ringshard.quarantine` where it lies, as the owner has another one",
        ),
    ];
    let parts = parts.into_iter().filter(|(rows, _)| *rows > 0);
    let parts: Vec<String> = parts.map(|(rows, what)| format!("{}: {what}", counted(rows, "row"))).collect();
    format!("misplaced: {}\n{}\nDo it?", counted(found.sum(|tally| tally.misplaced), "row"), parts.join("\n"))
}

fn report(verified: &Verified, repaired: Option<Repaired>, stale_primaries: &[StalePrimary]) -> Report {
    let mut report = Report::list(&COLUMNS);
    report.warnings.extend(stale_primaries.iter().map(told_of));
    let number = |number: u64| Cell::Integer(i64::try_from(number).unwrap_or(i64::MAX));
    for (shard, tally) in &verified.tallies {
        report.push(vec![
            shard.as_str().into(),
            number(tally.rows),
            number(tally.misplaced),
            number(tally.duplicate),
            tally.differing.map_or(Cell::Null, number),
            number(tally.missing),
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
        report.notes.push(format!("a change of the ring is under way: {in_flight} in flight"));
    }
    if verified.unexamined > 0 {
        let told = counted(verified.unexamined, "misplaced row");
        report.notes.push(format!("too many to look at one by one: {told} only counted"));
    }
    if verified.is_clean() {
        let rows = verified.sum(|tally| tally.rows - tally.in_flight);
        report.notes.push(format!("{}, each on its owner and nowhere else", counted(rows, "user")));
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
        return Error::new(Kind::Failed, format!("{first}{more}{rows}"))
            .hint("ringshard doctor tells what to do about it; then: ringshard verify");
    }
    let has_twins = verified.tallies.values().any(|tally| tally.duplicate > 0 && tally.differing.is_none());
    let hint = "ringshard verify --fix puts each where it belongs";
    let hint = if has_twins {
        format!("ringshard verify --deep compares what lies twice; {hint}")
    } else {
        hint.to_owned()
    };
    Error::new(Kind::Failed, rows.unwrap_or_default()).hint(hint)
}

/// What is wrong with the rows, if anything is.
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
