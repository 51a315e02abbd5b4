//! `remove-shard --dead`: removes a shard that is lost for good.

use crate::commands::{Context, Progress};
use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::model::report::{Cell, Column, Report};
use crate::model::text::{counted, timestamp};
use crate::pg::cluster::Cluster;
use crate::pg::failover::{self, Reassigned, RemovalPlan, Removed};
use crate::pg::net::conninfo::ConnectionString;
use crate::pg::scan;

/// Gives the arcs of a shard to the others, with its users if there is a server to recover them from.
pub(crate) fn remove_dead(
    name: &ShardName,
    recover_from: Option<&ConnectionString>,
    context: &Context<'_>,
) -> Result<Report> {
    let cluster = context.cluster()?;
    let recovery = recover_from.map(|url| failover::open_recovery(&cluster, name, url)).transpose();
    // A shard that answers, or is unknown, is reported before a bad URL.
    let plan = failover::plan_removal(&cluster, name, recovery.as_ref().ok().and_then(Option::as_ref))?;
    let recovery = recovery?;
    let console = context.console();
    console.confirm(&question(name, &plan, recovery.is_some(), &cluster))?;
    let progress = |rows| console.progress(Some(&Progress { rows, part: None, at: "recovering".into() }));
    let done = failover::remove_dead_shard(&cluster, &plan, recovery, progress);
    console.progress(None);
    let done = done?;
    let settings = context.settings();
    let mut report = report(&done);
    if settings.shards_are_from_environment() {
        report.notes.push(format!("remove `{name}` from RINGSHARD_SHARDS"));
    } else {
        settings.forget_shard(name, || Ok(false))?;
    }
    if done.ignored > 0 {
        let users = counted(done.ignored, "user");
        report.notes.push(format!("not recovered, because other shards own their arcs: {users}"));
    }
    if done.undecided > 0 {
        let message = format!(
            "rolled back, as `{name}` had to decide about them: {}; what another shard had committed already stays there",
            counted(done.undecided as u64, "transaction")
        );
        report.warnings.push(Error::new(Kind::Partial, message));
    }
    if done.is_changing {
        report.notes.push("a rebalance is still under way; to continue it: ringshard rebalance".into());
    }
    report.notes.push(format!(
        "do not start the old server of `{name}` again; if it comes back at {}, ringshard shards fences it",
        plan.url
    ));
    context.reload()?;
    Ok(report)
}

/// The question to confirm: what goes where, and what is lost.
fn question(name: &ShardName, plan: &RemovalPlan, is_recovered: bool, cluster: &Cluster) -> String {
    let recipients = plan.recipients();
    let share: f64 = recipients.values().map(|recipient| recipient.share).sum();
    let line = |(recipient, reassigned): (&ShardName, &Reassigned)| {
        let arcs = counted(reassigned.arcs, "arc");
        format!("{recipient} gets {arcs}, {:.2} % of the ring", reassigned.share * 100.0)
    };
    let mut lines = vec![format!(
        "shard `{name}` at {} does not answer; it will be removed for good, with {:.2} % of the ring",
        plan.url,
        share * 100.0
    )];
    if plan.is_begun {
        lines.push("(an earlier run began this, and some shards have recorded it)".into());
    }
    lines.extend(recipients.iter().map(line));
    lines.push(match (is_recovered, scan::last_known_rows(cluster, name)) {
        (true, _) => "its users are read from the server of --recover-from; newer changes are lost".into(),
        (false, Some((rows, at))) => {
            let users = counted(u64::try_from(rows).unwrap_or(0), "user");
            format!("lost: {users}, by the count of {}", timestamp(at))
        }
        (false, None) => "lost: all its users; their number is not known".into(),
    });
    if plan.has_desired_topology {
        lines.push("the planned change of the ring is discarded".into());
    }
    lines.push("Remove it?".into());
    lines.join("\n")
}

fn report(done: &Removed) -> Report {
    let mut report = Report::list(&[
        Column::text("shard"),
        Column::number("arcs"),
        Column::number("share_pct"),
        Column::number("rows"),
        Column::number("epoch"),
    ]);
    for (shard, Reassigned { arcs, share, rows }) in &done.recipients {
        report.push(vec![
            shard.as_str().into(),
            (*arcs).into(),
            Cell::percent(*share),
            (*rows).into(),
            done.epoch.number().into(),
        ]);
    }
    report
}
