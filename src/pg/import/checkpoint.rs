//! What the shards know of an import: how far each of them has the file, in `ringshard.import`.
//!
//! A shard writes it in the transaction of the rows themselves, so what it says is true whatever happened since.

use std::collections::BTreeMap;

use postgres::types::Type;
use postgres::{Client, Row};
use uuid::Uuid;

use crate::model::names::ShardName;
use crate::model::ring::coverage::Coverage;
use crate::model::ring::position::Position;

/// In `routing`: the whole file was in, on all shards.
pub(crate) const DONE: &str = "done";
/// In `routing`: the ring changed during the import, so what was sent where cannot be told any more.
pub(crate) const MIXED: &str = "";

/// How far one shard has a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    /// All records up to this one that were routed here are in.
    pub(crate) records: u64,
    /// Records behind this one were never sent here.
    pub(crate) high: u64,
    /// The digest of the records `1 ..= records`.
    pub(crate) digest: i64,
    /// What they were routed by: [`fingerprint`], [`DONE`] or [`MIXED`].
    pub(crate) routing: String,
}

/// What tells one routing from another.
pub(crate) fn fingerprint(coverage: &Coverage) -> String {
    let routes: String =
        coverage.routes().iter().map(|route| format!("{} {}\n", route.arc, route.shard)).collect();
    format!("{:032x}", Position::of_key(&routes).number())
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Reads what a shard knows of a file.
pub(crate) fn read(client: &mut Client, source: Position) -> Result<Option<Checkpoint>, postgres::Error> {
    let sql =
        "SELECT committed_through, high_water_mark, digest, routing FROM ringshard.import WHERE source = $1";
    let row: Option<Row> = client.query_typed(sql, &[(&Uuid::from(source), Type::UUID)])?.into_iter().next();
    let number = |row: &Row, at: usize| u64::try_from(row.get::<_, i64>(at)).unwrap_or(0);
    Ok(row.map(|row| Checkpoint {
        records: number(&row, 0),
        high: number(&row, 1),
        digest: row.get(2),
        routing: row.get(3),
    }))
}

/// Writes it, in the transaction that is open.
pub(crate) fn write(
    client: &mut Client,
    source: Position,
    known: &Checkpoint,
) -> Result<(), postgres::Error> {
    let sql = "INSERT INTO ringshard.import (source, committed_through, high_water_mark, digest, routing) \
               VALUES ($1, $2, $3, $4, $5) ON CONFLICT (source) DO UPDATE SET \
               committed_through = excluded.committed_through, high_water_mark = excluded.high_water_mark, digest = excluded.digest, routing = excluded.routing";
    let parameters: &[(&(dyn postgres::types::ToSql + Sync), Type)] = &[
        (&Uuid::from(source), Type::UUID),
        (&signed(known.records), Type::INT8),
        (&signed(known.high), Type::INT8),
        (&known.digest, Type::INT8),
        (&known.routing, Type::TEXT),
    ];
    client.query_typed(sql, parameters).map(|_| ())
}

/// Forgets a file.
pub(crate) fn forget(client: &mut Client, source: Position) -> Result<(), postgres::Error> {
    let sql = "DELETE FROM ringshard.import WHERE source = $1";
    client.query_typed(sql, &[(&Uuid::from(source), Type::UUID)]).map(|_| ())
}

/// Whether a record of the file needs to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ResumeNeed {
    /// It was stored by an earlier run.
    Stored,
    /// An earlier run may have stored it.
    Doubtful,
    /// It was not.
    Fresh,
}

/// What all shards know, and what follows from it for each record.
#[derive(Debug)]
pub(crate) struct ResumePlan {
    known: BTreeMap<ShardName, Checkpoint>,
    /// Whether records are routed now as they were then: then each shard's word holds for what goes there.
    same_routing: bool,
    /// Up to here all records are in, wherever they were routed to: a shard that says so speaks for all.
    all_in: u64,
    is_done: bool,
    /// Behind this record none was sent.
    high: u64,
}

impl ResumePlan {
    /// Of what these shards know, `None` where they know nothing.
    pub(crate) fn new(said: BTreeMap<ShardName, Option<Checkpoint>>, fingerprint: &str) -> Self {
        let done =
            said.values().flatten().filter(|known| known.routing == DONE).map(|known| known.records).max();
        let high = said.values().flatten().map(|known| known.high).max().unwrap_or(0);
        let known: BTreeMap<ShardName, Checkpoint> =
            said.into_iter().filter_map(|(shard, known)| Some((shard, known?))).collect();
        // The word of a shard that knows nothing holds as well: nothing was stored there.
        let same_routing = done.is_none() && known.values().all(|known| known.routing == fingerprint);
        Self { known, same_routing, all_in: done.unwrap_or(0), high, is_done: done.is_some() }
    }

    /// Whether no earlier run left anything.
    fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Whether record number `record`, which goes to `shard` now, needs to be sent there.
    pub(crate) fn need(&self, record: u64, shard: &ShardName) -> ResumeNeed {
        // Under another ring a shard may have left whose word would be needed: then nothing is sure, and what one sent
        // may lie anywhere.
        if !self.same_routing && !self.is_done {
            return ResumeNeed::Doubtful;
        }
        if record > self.high {
            return ResumeNeed::Fresh;
        }
        if self.same_routing {
            return match self.known.get(shard) {
                Some(known) if record <= known.records => ResumeNeed::Stored,
                Some(known) if record <= known.high => ResumeNeed::Doubtful,
                _ => ResumeNeed::Fresh,
            };
        }
        if record <= self.all_in { ResumeNeed::Stored } else { ResumeNeed::Doubtful }
    }

    /// Whether from this record on it can be routed otherwise without another run's word getting in the way.
    pub(crate) fn holds_for_another_routing(&self, record: u64) -> bool {
        !self.same_routing || record > self.high
    }

    /// Where digests are compared: a shard's word counts only for the file that it is about. Whether the
    /// file so far is that file.
    pub(crate) fn agrees(&self, record: u64, digest: i64) -> bool {
        self.known.values().all(|known| known.records != record || known.digest == digest)
    }

    /// The last record that any digest is about.
    pub(crate) fn last_record(&self) -> u64 {
        self.known.values().map(|known| known.records).max().unwrap_or(0)
    }

    /// Where records were routed otherwise than now: what is sure of every shard, to be written to each of them
    /// before anything else is stored. Else words about different routings would stand side by side, and each
    /// would vouch for records that the other was to get.
    pub(crate) fn baseline(&self) -> Option<Checkpoint> {
        if self.is_empty() || self.same_routing {
            return None;
        }
        let digest =
            self.known.values().find(|known| known.records == self.all_in).map_or(0, |known| known.digest);
        Some(Checkpoint { records: self.all_in, high: self.high, digest, routing: MIXED.to_owned() })
    }

    /// What a shard knows.
    pub(crate) fn of(&self, shard: &ShardName) -> Option<&Checkpoint> {
        self.known.get(shard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(name: &str) -> ShardName {
        name.parse().unwrap()
    }

    fn known(records: u64, high: u64, routing: &str) -> Checkpoint {
        Checkpoint { records, high, digest: 7, routing: routing.into() }
    }

    fn memory(a: Checkpoint, b: impl Into<Option<Checkpoint>>) -> ResumePlan {
        ResumePlan::new(BTreeMap::from([(shard("a"), Some(a)), (shard("b"), b.into())]), "now")
    }

    fn needs(memory: &ResumePlan, shard_name: &str) -> String {
        let letter = |record| match memory.need(record, &shard(shard_name)) {
            ResumeNeed::Stored => 's',
            ResumeNeed::Doubtful => 'd',
            ResumeNeed::Fresh => 'f',
        };
        (1..=6).map(letter).collect()
    }

    #[test]
    fn with_the_same_routing_each_shard_speaks_for_itself() {
        let memory = memory(known(4, 4, "now"), known(2, 2, "now"));
        assert_eq!((needs(&memory, "a").as_str(), needs(&memory, "b").as_str()), ("ssssff", "ssffff"));
        assert!(memory.agrees(4, 7) && memory.agrees(3, 8) && !memory.agrees(4, 8) && !memory.agrees(2, 8));
        assert_eq!(memory.last_record(), 4);
    }

    #[test]
    fn with_another_routing_nothing_is_sure_as_a_shard_may_have_left() {
        for routing in ["then", MIXED] {
            let memory = memory(known(4, 5, routing), known(2, 2, "now"));
            assert_eq!((needs(&memory, "a").as_str(), needs(&memory, "b").as_str()), ("dddddd", "dddddd"));
        }
        let memory = memory(known(4, 5, "then"), None);
        assert_eq!(needs(&memory, "b"), "dddddd");
        let baseline = Checkpoint { records: 0, high: 5, digest: 0, routing: MIXED.into() };
        assert_eq!(memory.baseline(), Some(baseline));
    }

    #[test]
    fn what_was_perhaps_sent_by_an_older_routing_stays_doubtful() {
        // Both have taken a batch by the new routing since their words were taken back to the baseline.
        let memory = memory(known(3, 6, "now"), known(2, 6, "now"));
        assert_eq!((needs(&memory, "a").as_str(), needs(&memory, "b").as_str()), ("sssddd", "ssdddd"));
        assert!(!memory.holds_for_another_routing(6) && memory.holds_for_another_routing(7));
    }

    #[test]
    fn a_shard_that_knows_nothing_has_nothing() {
        let memory = memory(known(3, 3, "now"), None);
        assert_eq!((needs(&memory, "a").as_str(), needs(&memory, "b").as_str()), ("sssfff", "ffffff"));
        assert!(memory.baseline().is_none() && ResumePlan::new(BTreeMap::new(), "now").is_empty());
    }

    #[test]
    fn one_shard_that_says_done_speaks_for_all() {
        let memory = memory(known(5, 5, DONE), None);
        assert_eq!((needs(&memory, "a").as_str(), needs(&memory, "b").as_str()), ("sssssf", "sssssf"));
    }
}
