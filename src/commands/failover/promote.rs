//! `promote`: a replica takes over a shard whose primary has failed.

use crate::pg::failover;
use clap::Args;
use clap_complete::ArgValueCompleter;

use super::replica::{configured_replicas, shown_of};
use crate::commands::setup::init_shards::connection_string;
use crate::commands::{Context, complete_shard};
use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::model::report::{Column, Report};
use crate::pg::failover::{Reinstatement, TakenOver, Takeover};
use crate::pg::net::conninfo::ConnectionString;

/// The arguments of `promote`.
#[derive(Debug, Args)]
pub struct PromoteArgs {
    /// The shard whose primary has failed
    #[arg(add = ArgValueCompleter::new(complete_shard))]
    pub(crate) name: ShardName,
    /// The replica to promote [default: the one that has received the most]
    #[arg(long, value_name = "URL", value_parser = connection_string)]
    pub(crate) replica: Option<ConnectionString>,
    /// Promote the replica even if it has not replayed all hand-overs of arcs; the missing ones are lost. If a stale primary
    /// answers at the shard's address, make it the primary again
    #[arg(long)]
    pub(crate) force: bool,
}

impl PromoteArgs {
    /// Promotes a replica, tells all shards, and writes the new address into the configuration.
    pub fn run(&self, context: &Context<'_>) -> Result<Report> {
        let cluster = context.cluster()?;
        if self.force
            && self.replica.is_none()
            && let Some(plan) = failover::plan_reinstatement(&cluster, &self.name)?
        {
            context.console().confirm(&reinstatement_question(&plan))?;
            let done = failover::reinstate(&cluster, &plan)?;
            return Ok(self.report(&plan.at, &done, "the stale primary is the primary of the shard again"));
        }
        let configured = context.settings().shards.iter().find(|(name, _)| *name == self.name).cloned();
        let configured = configured.map(|(_, url)| shown_of(context, &self.name, &url.value)).transpose()?;
        if let Some(done) = failover::finish_takeover(&cluster, &self.name, configured.as_deref())? {
            let after = cluster.shards().address(&self.name)?.shown().to_owned();
            return self.done(
                context,
                &after,
                &done,
                "the replica had taken over before; now all shards have recorded it",
            );
        }
        let requested = self.replica.as_ref().map(|url| shown_of(context, &self.name, url)).transpose()?;
        let plan = failover::plan_takeover(&cluster, &self.name, requested.as_deref())?;
        if !plan.missing_handovers.is_empty() && !self.force {
            return Err(self.refusal(&plan));
        }
        context.console().confirm(&self.question(&plan))?;
        let done = failover::take_over(&cluster, &plan)?;
        let note = format!(
            "do not start the old primary at {} again; if it comes back, ringshard shards fences it",
            plan.before
        );
        let mut report = self.done(context, &plan.after, &done, &note)?;
        if !plan.others.is_empty() {
            report.notes.push(format!(
                "replicas that must be pointed at the new primary: {}",
                plan.others.join(", ")
            ));
        }
        Ok(report)
    }

    /// Writes the new address into the configuration, and reports it.
    fn done(&self, context: &Context<'_>, after: &str, done: &TakenOver, note: &str) -> Result<Report> {
        let settings = context.settings();
        let mut replicas = configured_replicas(context, &self.name)?;
        let url = replicas.iter().position(|(_, shown)| shown == after).map(|at| replicas.remove(at).0);
        let url = url.unwrap_or_else(|| ConnectionString::new(after));
        let mut report = self.report(after, done, note);
        if settings.shards_are_from_environment() {
            report.notes.push(format!("correct RINGSHARD_SHARDS: {}={after}", self.name));
        } else {
            let replicas: Vec<ConnectionString> = replicas.into_iter().map(|(url, _)| url).collect();
            settings.write_places(&self.name, &url, &replicas)?;
        }
        context.reload()?;
        Ok(report)
    }

    fn report(&self, after: &str, done: &TakenOver, note: &str) -> Report {
        let columns = [
            Column::text("shard"),
            Column::text("url"),
            Column::number("incarnation"),
            Column::number("epoch"),
        ];
        let row = vec![
            self.name.as_str().into(),
            after.into(),
            done.incarnation.0.into(),
            done.epoch.number().into(),
        ];
        let mut report = Report::one(&columns, row);
        report.notes.push(note.to_owned());
        report
    }

    fn question(&self, plan: &Takeover) -> String {
        let age = plan.age_seconds.map_or_else(
            || "it has replayed no transaction since it started".to_owned(),
            |seconds| format!("its last replayed transaction is {seconds:.1} s old"),
        );
        let begun = if plan.is_begun { " (an earlier run began this)" } else { "" };
        let lost: String =
            plan.missing_handovers.iter().map(|missing| format!("\nlost: {missing}")).collect();
        format!(
            "shard {}: {} will take over from {}, which does not answer{begun}\n\
             the replica has replayed the log up to {}; {age}\n\
             later transactions of the old primary are lost{lost}\nPromote it?",
            self.name, plan.after, plan.before, plan.replayed
        )
    }

    fn refusal(&self, plan: &Takeover) -> Error {
        let lines: String = plan.missing_handovers.iter().map(|missing| format!("\n  {missing}")).collect();
        let message = format!(
            "the replica of shard `{}` at {} has not replayed a hand-over of arcs, and would undo it:{lines}",
            self.name, plan.after
        );
        Error::new(Kind::Conflict, message)
            .hint(format!(
                "ringshard replica list shows other replicas, for --replica; ringshard promote {} --force accepts the loss",
                self.name
            ))
            .on_shard(&self.name)
    }
}

fn reinstatement_question(plan: &Reinstatement) -> String {
    format!(
        "shard {}: the server at {} is a stale primary, of incarnation {}; another server became incarnation {}\n\
         whatever that one alone has acknowledged is lost; if it still runs, stop it first\nMake this one the primary again?",
        plan.shard, plan.at, plan.found.0, plan.latest.0
    )
}
