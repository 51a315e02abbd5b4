//! An auditor that verifies while the ring changes. It reads one shard after the other, at different moments, and
//! must never report a change in progress as damage.

use std::collections::BTreeMap;

use ringshard::model::names::ShardName;
use ringshard::model::rebalance::ShardState;
use ringshard::model::verification::{Findings, RingFault, RowPlacement, judge, lasting};

use crate::shard::{Shard, place};

/// A verification in progress, and the results of those before it.
#[derive(Default)]
pub(crate) struct Auditor {
    seen: BTreeMap<ShardName, Shard>,
    suspects: Option<Vec<RingFault>>,
    /// Verifications with consistent shards, whose rows were checked.
    pub(crate) verdicts: u64,
    /// Verifications that had to be repeated.
    pub(crate) repeats: u64,
}

impl Auditor {
    /// The shards that this verification has not read yet.
    pub(crate) fn unasked<'a>(&self, all: impl Iterator<Item = &'a ShardName>) -> Vec<ShardName> {
        all.filter(|name| !self.seen.contains_key(name)).cloned().collect()
    }

    /// Takes a snapshot of a shard. After the last one it checks all of them.
    pub(crate) fn ask(&mut self, name: &ShardName, shard: &Shard, is_last: bool) -> Result<(), String> {
        self.seen.insert(name.clone(), shard.clone());
        if !is_last {
            return Ok(());
        }
        let seen = std::mem::take(&mut self.seen);
        let states: BTreeMap<ShardName, ShardState> =
            seen.iter().map(|(name, shard)| (name.clone(), shard.state.clone())).collect();
        let findings = judge(&states);
        if let Some(before) = self.suspects.replace(findings.faults.clone())
            && let [fault, ..] = lasting(&before, &findings.faults).as_slice()
        {
            return Err(format!("verify calls it damage: {fault}"));
        }
        if !findings.faults.iter().all(RingFault::is_harmless) {
            self.repeats += 1;
            return Ok(());
        }
        self.verdicts += 1;
        rows(&seen, &findings)
    }
}

/// Each row is on its owner alone, or in flight.
fn rows(seen: &BTreeMap<ShardName, Shard>, findings: &Findings) -> Result<(), String> {
    let mut homes: BTreeMap<i64, &ShardName> = BTreeMap::new();
    for (name, shard) in seen {
        let scanner = findings.scanner(name);
        for id in shard.users.keys() {
            match scanner.place(place(*id)) {
                RowPlacement::Home => {
                    if let Some(other) = homes.insert(*id, name) {
                        return Err(format!("verify sees user {id} at home on {other} and on {name}"));
                    }
                }
                RowPlacement::InFlight => {}
                RowPlacement::Misplaced => return Err(format!("verify calls user {id} on {name} misplaced")),
            }
        }
    }
    Ok(())
}
