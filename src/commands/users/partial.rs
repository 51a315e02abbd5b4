//! `--allow-partial`: an answer without the shards that are down.

use clap::Args;

use crate::error::{Error, Kind};
use crate::model::report::Report;
use crate::model::ring::topology::Epoch;
use crate::pg::cluster::Cluster;
use crate::pg::scan::snapshot::Missing;

/// The flag of all commands that read from every shard.
#[derive(Debug, Args)]
pub struct AllowPartial {
    /// If a shard is down: show the result of the others, name what is missing, exit with code 6
    #[arg(long)]
    pub allow_partial: bool,
}

impl AllowPartial {
    /// Adds to a report which shards are missing from it.
    pub fn add_missing(cluster: &Cluster, missing: Missing, report: &mut Report) {
        if missing.is_empty() {
            return;
        }
        let view = cluster.view();
        let shares = view.ring().shares();
        let names =
            missing.shards.iter().map(|(shard, _)| match shares.iter().find(|(of, _)| *of == shard) {
                Some((_, share)) if view.epoch != Epoch::GUESSED => {
                    format!("`{shard}` ({:.2} % of the ring)", share * 100.0)
                }
                _ => format!("`{shard}`"),
            });
        let gaps = missing.gaps.iter().map(|gap| format!("the arc {gap}, which no shard holds"));
        let parts: Vec<String> = names.chain(gaps).collect();
        let message = format!("the result is incomplete: missing {}", parts.join(", "));
        report.failure = Some(
            Error::new(Kind::Partial, message)
                .hint("ringshard shards shows which shards answer; run this again once all do"),
        );
        report.warnings.extend(missing.shards.into_iter().map(|(_, error)| error));
    }
}
