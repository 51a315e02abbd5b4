//! `remove-shard --dead`: a shard that is gone for good.

use crate::commands::{Context, Progress};
use crate::error::Result;
use crate::model::names::ShardName;
use crate::model::report::{Cell, Column, Report};
use crate::model::text::{counted, timestamp};
use crate::pg::cluster::Cluster;
use crate::pg::failover;
use crate::pg::failover::{Reassigned, RemovalPlan, Removed};
use crate::pg::net::conninfo::ConnectionString;
use crate::pg::scan;

/// Gives the arcs of a shard to the others, with its users if they can be recovered.
pub(crate) fn remove_dead(
    name: &ShardName,
    recover_from: Option<&ConnectionString>,
    context: &Context<'_>,
) -> Result<Report> {
    let cluster = context.cluster()?;
    let recovery = recover_from.map(|url| failover::open_recovery(&cluster, name, url)).transpose();
    // That the shard is not gone, or is none, is said first.
    let plan = failover::plan_removal(&cluster, name, recovery.as_ref().ok().and_then(Option::as_ref))?;
    let recovery = recovery?;
    let console = context.console();
    console.confirm(&question(name, &plan, recovery.is_some(), &cluster))?;
    let told = |rows| console.progress(Some(&Progress { rows, part: None, at: "recovering".into() }));
    let done = failover::remove_dead_shard(&cluster, &plan, recovery, told);
    console.progress(None);
    let done = done?;
    let settings = context.settings();
    let mut report = report(&done);
    if settings.shards_are_from_environment() {
        report.notes.push(format!("take `{name}` out of RINGSHARD_SHARDS"));
    } else {
        settings.forget_shard(name, || Ok(false))?;
    }
    if done.ignored > 0 {
        let users = counted(done.ignored, "user");
        report.notes.push(format!("passed by, as other shards own their arcs: {users}"));
    }
    if done.is_changing {
        report
            .notes
            .push("a change of the ring is still under way: ringshard rebalance goes on with it".into());
    }
    report.notes.push(format!(
        "`{name}` must not serve again: if it comes back at {}, ringshard shards, verify and rebalance fence it",
        plan.url
    ));
    context.reload()?;
    Ok(report)
}

/// What goes where, what is lost, and whether that is desired topology.
fn question(name: &ShardName, plan: &RemovalPlan, is_recovered: bool, cluster: &Cluster) -> String {
    let recipients = plan.recipients();
    let share: f64 = recipients.values().map(|recipient| recipient.share).sum();
    let line = |(recipient, reassigned): (&ShardName, &Reassigned)| {
        let arcs = counted(reassigned.arcs, "arc");
        format!("{recipient} gets {arcs}, {:.2} % of the ring", reassigned.share * 100.0)
    };
    let mut lines = vec![format!(
        "shard `{name}` at {} does not answer, and is taken out for good, with {:.2} % of the ring",
        plan.url,
        share * 100.0
    )];
    if plan.is_begun {
        lines.push("(an earlier run has begun it, and other shards have heard of it)".into());
    }
    lines.extend(recipients.iter().map(line));
    lines.push(match (is_recovered, scan::last_known_rows(cluster, name)) {
        (true, _) => {
            "its users are brought in as they are where they are recovered from; what is newer is lost".into()
        }
        (false, Some((rows, at))) => {
            let users = counted(u64::try_from(rows).unwrap_or(0), "user");
            format!("lost: {users}, as counted at {}", timestamp(at))
        }
        (false, None) => "lost: all its users; how many is not known here".into(),
    });
    if plan.has_desired_topology {
        lines.push("what was wished for of the ring is given up with it".into());
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
    let number = |number: u64| Cell::Integer(i64::try_from(number).unwrap_or(i64::MAX));
    for (shard, Reassigned { arcs, share, rows }) in &done.recipients {
        report.push(vec![
            shard.as_str().into(),
            number(*arcs),
            Cell::percent(*share),
            number(*rows),
            done.epoch.number().into(),
        ]);
    }
    report
}
