//! Checkpoints of an import in `ringshard.import`, and the plan to resume an interrupted import.
//!
//! A checkpoint is written in the transaction of its rows, so it is true whatever happens later.

use std::collections::BTreeMap;

use postgres::types::Type;
use postgres::{Client, Row};
use uuid::Uuid;

use super::ImportOptions;
use crate::model::names::ShardName;
use crate::model::ring::coverage::Coverage;
use crate::model::ring::position::Position;

/// A value of `routing`: the whole file is stored, on all shards.
pub(crate) const DONE: &str = "done";
/// A value of `routing`: the ring changed during the import, so it is unknown which record was sent to which shard.
pub(crate) const MIXED: &str = "";

/// The checkpoint of one file on one shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    /// All records up to this one that were routed to this shard are stored.
    pub(crate) committed_through: u64,
    /// No record after this one was sent to this shard.
    pub(crate) high_water_mark: u64,
    /// The digest of the records `1 ..= committed_through`.
    pub(crate) digest: i64,
    /// The routing: a [`fingerprint`], [`DONE`] or [`MIXED`].
    pub(crate) routing: String,
}

/// The identity of a routing.
pub(crate) fn fingerprint(coverage: &Coverage) -> String {
    let routes: String =
        coverage.routes().iter().map(|route| format!("{} {}\n", route.arc, route.shard)).collect();
    format!("{:032x}", Position::of_key(&routes).number())
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Reads the checkpoint of a file.
pub(crate) fn read(client: &mut Client, source: Position) -> Result<Option<Checkpoint>, postgres::Error> {
    let sql =
        "SELECT committed_through, high_water_mark, digest, routing FROM ringshard.import WHERE source = $1";
    let row: Option<Row> = client.query_typed(sql, &[(&Uuid::from(source), Type::UUID)])?.into_iter().next();
    let number = |row: &Row, at: usize| u64::try_from(row.get::<_, i64>(at)).unwrap_or(0);
    Ok(row.map(|row| Checkpoint {
        committed_through: number(&row, 0),
        high_water_mark: number(&row, 1),
        digest: row.get(2),
        routing: row.get(3),
    }))
}

/// Writes the checkpoint of the file of an import, in the open transaction.
pub(crate) fn write(
    client: &mut Client,
    import: &ImportOptions,
    checkpoint: &Checkpoint,
) -> Result<(), postgres::Error> {
    let sql = "INSERT INTO ringshard.import (source, committed_through, high_water_mark, digest, routing, file) \
               VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (source) DO UPDATE SET \
               committed_through = excluded.committed_through, high_water_mark = excluded.high_water_mark, \
               digest = excluded.digest, routing = excluded.routing, file = excluded.file";
    let parameters: &[(&(dyn postgres::types::ToSql + Sync), Type)] = &[
        (&Uuid::from(import.source), Type::UUID),
        (&signed(checkpoint.committed_through), Type::INT8),
        (&signed(checkpoint.high_water_mark), Type::INT8),
        (&checkpoint.digest, Type::INT8),
        (&checkpoint.routing, Type::TEXT),
        (&import.file, Type::TEXT),
    ];
    client.query_typed(sql, parameters).map(|_| ())
}

/// Whether a record must be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ResumeNeed {
    /// An earlier run stored it.
    Stored,
    /// An earlier run may have stored it.
    Doubtful,
    /// No earlier run stored it.
    Fresh,
}

/// The checkpoints of all shards, and what follows for each record.
#[derive(Debug)]
pub(crate) struct ResumePlan {
    checkpoints: BTreeMap<ShardName, Checkpoint>,
    /// Whether records are routed as in the earlier run: then a shard's checkpoint holds for the records routed to it now.
    same_routing: bool,
    /// All records up to this one are stored on all shards, as a shard's [`DONE`] says.
    all_through: u64,
    is_done: bool,
    /// No record after this one was sent.
    high_water_mark: u64,
}

impl ResumePlan {
    /// From the checkpoints of these shards, `None` for a shard without one.
    pub(crate) fn new(by_shard: BTreeMap<ShardName, Option<Checkpoint>>, fingerprint: &str) -> Self {
        let all = || by_shard.values().flatten();
        let done = all().filter(|one| one.routing == DONE).map(|one| one.committed_through).max();
        let high_water_mark = all().map(|one| one.high_water_mark).max().unwrap_or(0);
        // A shard without a checkpoint stored nothing, under any routing.
        let same_routing = done.is_none() && all().all(|one| one.routing == fingerprint);
        let checkpoints = by_shard.into_iter().filter_map(|(shard, one)| Some((shard, one?))).collect();
        let (all_through, is_done) = (done.unwrap_or(0), done.is_some());
        Self { checkpoints, same_routing, all_through, is_done, high_water_mark }
    }

    /// Whether there is no checkpoint.
    fn is_empty(&self) -> bool {
        self.checkpoints.is_empty()
    }

    /// Whether record number `record`, now routed to `shard`, must be sent.
    pub(crate) fn need(&self, record: u64, shard: &ShardName) -> ResumeNeed {
        // Under another routing a shard with a checkpoint may have left, so any record may be stored anywhere.
        if !self.same_routing && !self.is_done {
            return ResumeNeed::Doubtful;
        }
        if record > self.high_water_mark {
            return ResumeNeed::Fresh;
        }
        if self.same_routing {
            return match self.checkpoints.get(shard) {
                Some(checkpoint) if record <= checkpoint.committed_through => ResumeNeed::Stored,
                Some(checkpoint) if record <= checkpoint.high_water_mark => ResumeNeed::Doubtful,
                _ => ResumeNeed::Fresh,
            };
        }
        if record <= self.all_through { ResumeNeed::Stored } else { ResumeNeed::Doubtful }
    }

    /// Whether the routing may change before this record, which no checkpoint is about.
    pub(crate) fn allows_another_routing(&self, record: u64) -> bool {
        !self.same_routing || record > self.high_water_mark
    }

    /// Compares the digest with the checkpoints at this record: whether the file so far is the one that they are about.
    pub(crate) fn agrees(&self, record: u64, digest: i64) -> bool {
        self.checkpoints.values().all(|one| one.committed_through != record || one.digest == digest)
    }

    /// The last record with a checkpoint.
    pub(crate) fn last_record(&self) -> u64 {
        self.checkpoints.values().map(|one| one.committed_through).max().unwrap_or(0)
    }

    /// If records were routed differently: the checkpoint that is true for every shard, which each must write before anything
    /// is stored. Otherwise checkpoints of different routings would coexist, each wrong about records of the other.
    pub(crate) fn baseline(&self) -> Option<Checkpoint> {
        if self.is_empty() || self.same_routing {
            return None;
        }
        let (committed_through, high_water_mark) = (self.all_through, self.high_water_mark);
        let at_end = self.checkpoints.values().find(|one| one.committed_through == committed_through);
        let digest = at_end.map_or(0, |one| one.digest);
        Some(Checkpoint { committed_through, high_water_mark, digest, routing: MIXED.to_owned() })
    }

    /// The checkpoint of a shard.
    pub(crate) fn of(&self, shard: &ShardName) -> Option<&Checkpoint> {
        self.checkpoints.get(shard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(name: &str) -> ShardName {
        name.parse().unwrap()
    }

    fn checkpoint(committed_through: u64, high_water_mark: u64, routing: &str) -> Checkpoint {
        Checkpoint { committed_through, high_water_mark, digest: 7, routing: routing.into() }
    }

    fn plan_of(a: Checkpoint, b: impl Into<Option<Checkpoint>>) -> ResumePlan {
        ResumePlan::new(BTreeMap::from([(shard("a"), Some(a)), (shard("b"), b.into())]), "now")
    }

    fn needs(plan: &ResumePlan, shard_name: &str) -> String {
        let letter = |record| match plan.need(record, &shard(shard_name)) {
            ResumeNeed::Stored => 's',
            ResumeNeed::Doubtful => 'd',
            ResumeNeed::Fresh => 'f',
        };
        (1..=6).map(letter).collect()
    }

    #[test]
    fn with_the_same_routing_each_checkpoint_holds_for_its_shard() {
        let plan = plan_of(checkpoint(4, 4, "now"), checkpoint(2, 2, "now"));
        assert_eq!(["a", "b"].map(|shard| needs(&plan, shard)), ["ssssff", "ssffff"]);
        assert!(plan.agrees(4, 7) && plan.agrees(3, 8) && !plan.agrees(4, 8) && !plan.agrees(2, 8));
        assert_eq!(plan.last_record(), 4);
    }

    #[test]
    fn with_another_routing_every_record_is_doubtful() {
        for routing in ["then", MIXED] {
            let plan = plan_of(checkpoint(4, 5, routing), checkpoint(2, 2, "now"));
            assert_eq!(["a", "b"].map(|shard| needs(&plan, shard)), ["dddddd", "dddddd"]);
        }
        let plan = plan_of(checkpoint(4, 5, "then"), None);
        assert_eq!(needs(&plan, "b"), "dddddd");
        let baseline =
            Checkpoint { committed_through: 0, high_water_mark: 5, digest: 0, routing: MIXED.into() };
        assert_eq!(plan.baseline(), Some(baseline));
    }

    #[test]
    fn records_sent_under_an_older_routing_stay_doubtful() {
        // Both have stored a batch under the new routing since their checkpoints were reset to the baseline.
        let plan = plan_of(checkpoint(3, 6, "now"), checkpoint(2, 6, "now"));
        assert_eq!(["a", "b"].map(|shard| needs(&plan, shard)), ["sssddd", "ssdddd"]);
        assert!(!plan.allows_another_routing(6) && plan.allows_another_routing(7));
    }

    #[test]
    fn a_shard_without_a_checkpoint_has_nothing() {
        let plan = plan_of(checkpoint(3, 3, "now"), None);
        assert_eq!(["a", "b"].map(|shard| needs(&plan, shard)), ["sssfff", "ffffff"]);
        assert!(plan.baseline().is_none() && ResumePlan::new(BTreeMap::new(), "now").is_empty());
    }

    #[test]
    fn a_checkpoint_with_done_holds_for_all_shards() {
        let plan = plan_of(checkpoint(5, 5, DONE), None);
        assert_eq!(["a", "b"].map(|shard| needs(&plan, shard)), ["sssssf", "sssssf"]);
    }
}
