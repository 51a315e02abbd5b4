//! `--allow-partial`: an answer of the shards that are there, and what it lacks.

use clap::Args;

use crate::error::{Error, Kind};
use crate::model::report::Report;
use crate::model::ring::topology::Epoch;
use crate::pg::cluster::Cluster;
use crate::pg::scan::snapshot::Missing;

/// The flag of all commands that read from every shard.
#[derive(Debug, Args)]
pub struct AllowPartial {
    /// If a shard is down: show what the others have, say what is missing, exit with 6
    #[arg(long)]
    pub allow_partial: bool,
}

impl AllowPartial {
    /// Says in a report which shards it lacks.
    pub fn tell(cluster: &Cluster, missing: Missing, report: &mut Report) {
        if missing.is_empty() {
            return;
        }
        let view = cluster.view();
        let shares = view.ring.shares();
        let names =
            missing.shards.iter().map(|(shard, _)| match shares.iter().find(|(of, _)| *of == shard) {
                Some((_, share)) if view.epoch != Epoch::GUESSED => {
                    format!("`{shard}` ({:.2} % of the ring)", share * 100.0)
                }
                _ => format!("`{shard}`"),
            });
        let gaps = missing.gaps.iter().map(|gap| format!("the arc {gap}, which no shard holds"));
        let parts: Vec<String> = names.chain(gaps).collect();
        let message = format!("a part is missing, that of {}", parts.join(", "));
        report.failure = Some(
            Error::new(Kind::Partial, message)
                .hint("ringshard shards shows which shards answer; once they do, run this again"),
        );
        report.warnings.extend(missing.shards.into_iter().map(|(_, error)| error));
    }
}
