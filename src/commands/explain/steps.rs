//! An explanation: numbered steps, each with a name and a text.

use std::sync::Arc;

use crate::commands::Context;
use crate::error::Result;
use crate::model::names::ShardName;
use crate::model::report::{Cell, Column, Report};
use crate::model::ring::moved_share::{moved, ring_flows};
use crate::model::ring::topology::{Epoch, Topology};
use crate::pg::cluster::Cluster;
use crate::pg::cluster::view::View;
use crate::pg::preview::Statement;

/// What a command would do.
#[derive(Debug, Default)]
pub(crate) struct Steps(Vec<(&'static str, String)>);

impl Steps {
    /// Adds a step at the end.
    pub(crate) fn add(mut self, what: &'static str, detail: impl Into<String>) -> Self {
        self.0.push((what, detail.into()));
        self
    }

    /// Adds a statement and its parameters.
    pub(crate) fn statement(self, statement: Statement) -> Self {
        let with_sql = self.add("statement", statement.sql);
        if statement.parameters.is_empty() {
            return with_sql;
        }
        let values = statement.parameters.iter().zip(1..);
        let values: Vec<String> =
            values.map(|((name, value), number): (_, u32)| format!("${number} {name} = {value}")).collect();
        with_sql.add("values", values.join(", "))
    }

    /// The answer of `explain`, with the command's line of help as the first step.
    pub(crate) fn report(self, summary: &str) -> Report {
        let columns = [Column::number("step"), Column::text("what"), Column::text("detail")];
        let mut report = Report::list(&columns);
        let steps = std::iter::once(("command", summary.to_owned())).chain(self.0);
        for ((what, detail), step) in steps.zip(1..) {
            report.push(vec![Cell::Integer(step), what.into(), detail.into()]);
        }
        report.notes.push("nothing was run: this is what the command would do".into());
        report
    }
}

/// The cluster as this process knows it, with the step that describes it.
pub(crate) struct KnownCluster {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) view: Arc<View>,
    pub(crate) steps: Steps,
}

impl KnownCluster {
    /// From the cache, or from earlier commands of this process. Connects to no shard of a cluster whose id is known.
    pub(crate) fn of(context: &Context<'_>) -> Result<Self> {
        let cluster = context.cluster()?;
        let view = cluster.view();
        let (shards, nodes) = (view.topology.shards().len(), view.ring().len());
        let detail = if view.epoch == Epoch::GUESSED {
            format!(
                "a guess, as no shard was asked yet: {shards} shards of equal weight, {nodes} virtual nodes; \
                 the first answer confirms or corrects it"
            )
        } else {
            format!(
                "epoch {}, {shards} shards, {nodes} virtual nodes, by the last answer; each answer carries the shard's \
                 epoch, and if that is newer, the topology is read again",
                view.epoch
            )
        };
        Ok(Self { cluster, view, steps: Steps::default().add("topology", detail) })
    }

    /// The shards that may hold users.
    pub(crate) fn holding(&self) -> Vec<ShardName> {
        let participants = self.view.participants();
        let names = self.cluster.shards().names().into_iter();
        names.filter(|name| self.view.epoch == Epoch::GUESSED || participants.contains(name)).collect()
    }

    /// The address of a shard, without any password.
    pub(crate) fn shown_address(&self, name: &ShardName) -> Result<String> {
        Ok(self.cluster.shards().address(name)?.shown().to_owned())
    }
}

/// The share of all keys that moves from one topology to another, in per cent.
pub(crate) fn moved_pct(before: &Topology, after: &Topology) -> f64 {
    moved(&ring_flows(&before.ring(), &after.ring())) * 100.0
}

/// Names for a sentence.
pub(crate) fn listed<'a>(names: impl IntoIterator<Item = &'a ShardName>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}
