//! What must hold before the first row moves: what `doctor` checks, as far as a move depends on it.

use crate::error::{Error, Kind, Result};
use crate::local::PrivateServer;
use crate::pg::cluster::Cluster;
use crate::pg::doctor::{self, ConfiguredBy, Finding};

/// The checks that count.
const CHECKS: [&str; 15] = [
    "reachable",
    "version",
    "writable",
    "encoding",
    "sessions",
    "disk",
    "privileges",
    "table",
    "primary_key",
    "catalog",
    "identity",
    "triggers",
    "functions",
    "arcs",
    "databases",
];
/// These too, unless a change is under way already: then they tell of that.
const CHECKS_AT_REST: [&str; 3] = ["leftovers", "epoch", "ring"];

impl Cluster {
    /// Whether everything is as a move needs it; the first thing that is not, if something is not. Costs nothing but
    /// the looks.
    pub fn preflight(&self, private: &PrivateServer, is_under_way: bool) -> Result<()> {
        let configured_by = ConfiguredBy::File("ringshard.toml".into());
        let examination = doctor::examine(self.shards(), private, self.id().as_ref(), &configured_by)?;
        let counts = |finding: &&Finding| {
            finding.verdict.ok == Some(false)
                && (CHECKS.contains(&finding.check)
                    || (!is_under_way && CHECKS_AT_REST.contains(&finding.check)))
        };
        let crosses: Vec<&Finding> = examination.findings.iter().filter(counts).collect();
        let Some(first) = crosses.first() else { return Ok(()) };
        let of = first.shard.as_ref().map_or(String::new(), |shard| format!(" of shard `{shard}`"));
        let more = match crosses.len() {
            1 => String::new(),
            count => format!("; {} more", count - 1),
        };
        let kind = match first.check {
            "reachable" => Kind::Unreachable,
            "privileges" => Kind::Permission,
            "leftovers" => Kind::Locked,
            "disk" | "sessions" => Kind::Failed,
            _ => Kind::Configuration,
        };
        let message = format!("nothing was moved: `{}`{of}: {}{more}", first.check, first.verdict.found);
        let hint = first.verdict.hint.clone().unwrap_or_else(|| "ringshard doctor tells more".into());
        let error = Error::new(kind, message).hint(format!("{hint}; ringshard doctor shows all"));
        Err(match &first.shard {
            Some(shard) => error.on_shard(shard),
            None => error,
        })
    }
}
