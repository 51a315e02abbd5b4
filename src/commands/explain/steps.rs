//! An explanation while it is put together: numbered steps, a short word and a sentence each.

use std::sync::Arc;

use crate::commands::Context;
use crate::error::Result;
use crate::model::names::ShardName;
use crate::model::report::{Cell, Column, Report};
use crate::model::ring::topology::Epoch;
use crate::pg::cluster::Cluster;
use crate::pg::cluster::view::View;
use crate::pg::preview::Statement;

/// What a command would do.
#[derive(Debug, Default)]
pub(crate) struct Steps(Vec<(&'static str, String)>);

impl Steps {
    /// The same with another step behind.
    pub(crate) fn add(mut self, what: &'static str, detail: impl Into<String>) -> Self {
        self.0.push((what, detail.into()));
        self
    }

    /// The same with a statement and its parameters.
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

    /// As the answer of `explain`.
    pub(crate) fn report(self) -> Report {
        let columns = [Column::number("step"), Column::text("what"), Column::text("detail")];
        let mut report = Report::list(&columns);
        for ((what, detail), step) in self.0.into_iter().zip(1..) {
            report.push(vec![Cell::Integer(step), what.into(), detail.into()]);
        }
        report.notes.push("nothing was run: this is what the command would do".into());
        report
    }
}

/// What is known of the cluster, with the step that says so.
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
        let shards = view.topology.shards().len();
        let nodes = view.ring.len();
        let detail = if view.epoch == Epoch::GUESSED {
            format!(
                "a guess, as no shard was asked yet: {shards} shards of equal weight, {nodes} virtual nodes; \
                 the first answer says whether it is right"
            )
        } else {
            format!(
                "epoch {}, {shards} shards, {nodes} virtual nodes, as they said last; each answer carries the shard's \
                 epoch, and a newer one means that the topology is read again",
                view.epoch
            )
        };
        Ok(Self { cluster, view, steps: Steps::default().add("topology", detail) })
    }

    /// The shards that may hold users, by what is known.
    pub(crate) fn holding(&self) -> Vec<ShardName> {
        let participants = self.view.participants();
        let names = self.cluster.shards().names().into_iter();
        names.filter(|name| self.view.epoch == Epoch::GUESSED || participants.contains(name)).collect()
    }

    /// Where a shard is, without any password.
    pub(crate) fn shown_address(&self, name: &ShardName) -> Result<String> {
        Ok(self.cluster.shards().address(name)?.shown().to_owned())
    }
}

/// Names for a sentence.
pub(crate) fn listed<'a>(names: impl IntoIterator<Item = &'a ShardName>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}
