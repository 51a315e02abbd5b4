//! The move protocol with one thing done wrong: each of these must be seen. A mutant is a patch of the functions
//! that `init-shards` installs; an interleaving that chance does not find is forced, and the same one must be harmless
//! with the functions as they are.
//!
//! (Readers' mistakes are in `tests/interleavings.rs`: they are no SQL.)

use postgres::{Client, Transaction};
use ringshard::model::ring::topology::{ShardSpec, Topology};

use super::topology_changes::ring_of;
use crate::support::harness::{Test, owner};
use crate::support::move_steps::Chunk;

pub(crate) const MOVES: &str = include_str!("../../../sql/functions/rebalance.sql");
const FUNCTIONS: &str = include_str!("../../../sql/functions/write_user.sql");

/// A file of functions with these changes.
pub(crate) fn patched(file: &str, changes: &[(&str, &str)]) -> String {
    changes.iter().fold(file.to_owned(), |text, (before, after)| {
        assert!(text.contains(before), "the functions do not hold `{before}` any more");
        text.replace(before, after)
    })
}

/// Two shards, a user on the first of them, and the chunk around it.
pub(crate) struct Stage {
    pub(crate) test: Test,
    pub(crate) source: Client,
    target: Client,
    pub(crate) names: [String; 2],
    chunk: Chunk,
    pub(crate) user: i64,
}

/// What was read of a chunk.
pub(crate) struct Read {
    ids: Vec<i64>,
    /// `name`, `region`, `email`.
    texts: [Vec<Option<String>>; 3],
    bytes: i64,
    digest: String,
}

impl Stage {
    pub(crate) fn new(mutant: Option<&str>) -> Self {
        let test = Test::initialised();
        let user = 1;
        let numbers = [owner(user), owner(user) % 3 + 1];
        for number in 1..=3 {
            if let Some(functions) = mutant {
                test.execute(number, functions);
            }
        }
        let mut source = test.client(numbers[0]);
        let target = test.client(numbers[1]);
        let chunk = Chunk::around(&mut source, user);
        let names = numbers.map(|number| format!("shard_{number}"));
        let mut stage = Self { test, source, target, names, chunk, user };
        stage.write(0, "create", "first");
        stage
    }

    /// A change of this epoch; two of them in turn lead to different rings.
    pub(crate) fn announce(&mut self, epoch: i64, heavier: &str, condition: &str) -> [String; 2] {
        let before = ring_of(&[1, 2, 3]);
        let spec = ShardSpec { name: heavier.parse().unwrap(), weight: 2.0.try_into().unwrap() };
        let target: Topology = before.with(spec).unwrap();
        let [before, target] = [before, target].map(|topology| serde_json::to_value(topology).unwrap());
        let participants = serde_json::json!(["shard_1", "shard_2", "shard_3"]);
        [&mut self.source, &mut self.target].map(|client| {
            let sql = "SELECT ringshard.announce($1, $2, $3, $4, $5)";
            client.query_one(sql, &[&epoch, &before, &target, &participants, &condition]).unwrap().get(0)
        })
    }

    /// A write at the source (0) or the target (1), in a transaction of its own.
    fn write(&mut self, at: usize, operation: &str, name: &str) -> String {
        let (user, shard) = (self.user, self.names[at].clone());
        let cluster = self.test.cluster_id(1);
        let client = if at == 0 { &mut self.source } else { &mut self.target };
        let mut transaction = client.transaction().unwrap();
        let answer = write(&mut transaction, &cluster, &shard, operation, user, name);
        transaction.commit().unwrap();
        answer
    }

    pub(crate) fn read(&mut self, from: usize, epoch: i64) -> Read {
        let peer = self.names[1 - from].clone();
        let client = if from == 0 { &mut self.source } else { &mut self.target };
        let sql = include_str!("../../../sql/queries/read_chunk.sql")
            .replace("$2", "$2::text::uuid")
            .replace("$3", "$3::text::uuid");
        let row = client.query_one(&sql, &[&epoch, &self.chunk.first, &self.chunk.last, &peer]).unwrap();
        Read {
            ids: row.get("ids"),
            texts: ["names", "regions", "emails"].map(|column| row.get(column)),
            bytes: row.get("bytes"),
            digest: row.get("digest"),
        }
    }

    pub(crate) fn adopt(&mut self, from: usize, epoch: i64, read: &Read) -> Result<String, postgres::Error> {
        let source = self.names[from].clone();
        let client = if from == 0 { &mut self.target } else { &mut self.source };
        let sql =
            "SELECT ringshard.receive_chunk($1, $2::text::uuid, $3::text::uuid, $4, $5, $6, $7, $8, $9, $10)";
        let [names, regions, emails] = &read.texts;
        let chunk = &self.chunk;
        client
            .query_one(
                sql,
                &[
                    &epoch,
                    &chunk.first,
                    &chunk.last,
                    &source,
                    &read.ids,
                    names,
                    regions,
                    emails,
                    &read.bytes,
                    &read.digest,
                ],
            )
            .map(|row| row.get(0))
    }

    /// `fence`, `purge` or `release` at one of the two.
    pub(crate) fn step(&mut self, function: &str, at: usize, epoch: i64) -> Result<String, postgres::Error> {
        let peer = self.names[1 - at].clone();
        let client = if at == 0 { &mut self.source } else { &mut self.target };
        let neighbours = if function == "fence" { "$2::text::uuid, $3::text::uuid, " } else { "" };
        let sql = format!("SELECT ringshard.{function}($1, $2::text::uuid, $3::text::uuid, {neighbours}$4)");
        client.query_one(&sql, &[&epoch, &self.chunk.first, &self.chunk.last, &peer]).map(|row| row.get(0))
    }

    /// The whole way of the chunk.
    pub(crate) fn moves(&mut self, from: usize, epoch: i64) {
        assert_eq!(self.step("fence", from, epoch).unwrap(), "done");
        let read = self.read(from, epoch);
        assert_eq!(self.adopt(from, epoch, &read).unwrap(), "done");
        assert_eq!(self.step("purge", from, epoch).unwrap(), "done");
    }

    /// The same while a writer is in the middle of its transaction. As it is, the fence is not given before that ends.
    pub(crate) fn moves_under(&mut self, writer: Transaction<'_>) {
        if self.step("fence", 0, 2).is_ok() {
            let read = self.read(0, 2);
            assert_eq!(self.adopt(0, 2, &read).unwrap(), "done");
            writer.commit().unwrap();
            assert_eq!(self.step("purge", 0, 2).unwrap(), "done");
        } else {
            writer.commit().unwrap();
            self.moves(0, 2);
        }
    }

    /// Who owns the user, and the name that the shards have for it: one of each, if all is well.
    pub(crate) fn seen(&mut self) -> (Vec<usize>, Vec<String>) {
        let (mut owners, mut names) = (Vec::new(), Vec::new());
        for (at, client) in [&mut self.source, &mut self.target].into_iter().enumerate() {
            let owned = "SELECT count(*) FROM ringshard.arc WHERE state = 'owned' AND last = $1::text::uuid";
            if client.query_one(owned, &[&self.chunk.last]).unwrap().get::<_, i64>(0) == 1 {
                owners.push(at);
                let sql = "SELECT name FROM users WHERE user_id = $1";
                names.extend(
                    client.query(sql, &[&self.user]).unwrap().iter().map(|row| row.get::<_, String>(0)),
                );
            }
        }
        (owners, names)
    }
}

fn write(
    transaction: &mut Transaction<'_>,
    cluster: &str,
    shard: &str,
    operation: &str,
    user: i64,
    name: &str,
) -> String {
    let sql = "SELECT answer FROM ringshard.write_user($1, $2, $3, $4, true, $5, false, NULL, false, NULL)";
    transaction.query_one(sql, &[&cluster, &shard, &operation, &user, &name]).unwrap().get(0)
}

/// A writer is in the middle of its transaction when the chunk is fenced.
fn a_writer_in_flight(stage: &mut Stage) -> bool {
    stage.announce(2, "shard_1", "decided");
    let mut writer = stage.test.client(owner(stage.user));
    let mut transaction = writer.transaction().unwrap();
    let (cluster, shard) = (stage.test.cluster_id(1), stage.names[0].clone());
    assert_eq!(write(&mut transaction, &cluster, &shard, "update", stage.user, "second"), "done");
    stage.moves_under(transaction);
    stage.seen() == (vec![1], vec!["second".into()])
}

/// The chunk is fenced, and that not committed yet, when a writer comes.
fn a_fence_in_flight(stage: &mut Stage) -> bool {
    stage.announce(2, "shard_1", "decided");
    let (cluster, shard, user) = (stage.test.cluster_id(1), stage.names[0].clone(), stage.user);
    let mut mover = stage.test.client(owner(user));
    let mut fence = mover.transaction().unwrap();
    let sql = "SELECT ringshard.fence(2, $1::text::uuid, $2::text::uuid, $1::text::uuid, $2::text::uuid, $3)";
    fence.query_one(sql, &[&stage.chunk.first, &stage.chunk.last, &stage.names[1]]).unwrap();
    let mut writer = stage.test.client(owner(user));
    let mut transaction = writer.transaction().unwrap();
    transaction.batch_execute("SET LOCAL lock_timeout = '200ms'").unwrap();
    let sql = "SELECT answer FROM ringshard.write_user($1, $2, 'update', $3, true, 'second', false, NULL, false, NULL)";
    // As it is, it waits for the barrier.
    let written = transaction.query_one(sql, &[&cluster, &shard, &user]).is_ok();
    fence.commit().unwrap();
    let read = stage.read(0, 2);
    assert_eq!(stage.adopt(0, 2, &read).unwrap(), "done");
    transaction.commit().unwrap();
    stage.step("purge", 0, 2).unwrap();
    let wanted = if written { "second" } else { "first" };
    stage.seen() == (vec![1], vec![wanted.into()])
}

/// A purge that was sent in one epoch arrives in the next but one, when the chunk is back.
fn a_late_purge(stage: &mut Stage) -> bool {
    stage.announce(2, "shard_1", "decided");
    stage.moves(0, 2);
    stage.announce(3, "shard_2", "decided");
    stage.moves(1, 3);
    stage.step("purge", 0, 2).unwrap();
    stage.seen() == (vec![0], vec!["first".into()])
}

/// Rows that were read before arrive once more, when the target has served for a while.
fn a_late_adoption(stage: &mut Stage) -> bool {
    stage.announce(2, "shard_1", "decided");
    assert_eq!(stage.step("fence", 0, 2).unwrap(), "done");
    let read = stage.read(0, 2);
    assert_eq!(stage.adopt(0, 2, &read).unwrap(), "done");
    assert_eq!(stage.write(1, "update", "second"), "done");
    stage.adopt(0, 2, &read).unwrap();
    stage.seen() == (vec![1], vec!["second".into()])
}

/// The change was taken back, and the chunk released, when its rows arrive.
fn an_adoption_of_a_change_that_was_taken_back(stage: &mut Stage) -> bool {
    stage.announce(2, "shard_1", "decided");
    assert_eq!(stage.step("fence", 0, 2).unwrap(), "done");
    let read = stage.read(0, 2);
    stage.announce(3, "shard_2", "decided");
    assert_eq!(stage.step("release", 0, 2).unwrap(), "done");
    assert_eq!(stage.write(0, "update", "second"), "done");
    stage.adopt(0, 2, &read).unwrap();
    stage.seen() == (vec![0], vec!["second".into()])
}

/// Two changes are announced for one epoch.
fn a_rival_announcement(stage: &mut Stage) -> bool {
    assert_eq!(stage.announce(2, "shard_1", "decided"), ["done", "done"]);
    stage.announce(2, "shard_2", "decided");
    let target = "SELECT next_topology -> 'shards' -> 0 ->> 'weight' FROM ringshard.meta";
    [&mut stage.source, &mut stage.target]
        .into_iter()
        .all(|client| client.query_one(target, &[]).unwrap().get::<_, String>(0) == "2.0")
}

/// A chunk that is fenced already is let go of once more, for somebody else.
fn a_fence_of_what_was_moved_in_this_epoch(stage: &mut Stage) -> bool {
    stage.announce(2, "shard_1", "decided");
    stage.moves(0, 2);
    // By a mover that thinks of the ring before.
    let answer = stage.step("fence", 1, 2).unwrap();
    answer == "stale" && stage.seen() == (vec![1], vec!["first".into()])
}

/// A change is finished while a chunk is still on its way.
fn a_finish_too_early(stage: &mut Stage) -> bool {
    stage.announce(2, "shard_1", "decided");
    let arcs = "SELECT coalesce(array_agg(first ORDER BY last), '{}')::text, coalesce(array_agg(last ORDER BY last), '{}')::text, \
                       coalesce(array_agg(epoch ORDER BY last), '{}')::text FROM ringshard.arc";
    assert_eq!(stage.step("fence", 0, 2).unwrap(), "done");
    let seen = stage.source.query_one(arcs, &[]).unwrap();
    let [firsts, lasts, epochs]: [String; 3] = [seen.get(0), seen.get(1), seen.get(2)];
    let finish = "SELECT ringshard.finish(2, $1::text::uuid[], $2::text::uuid[], $3::text::bigint[], $1::text::uuid[], $2::text::uuid[])";
    stage.source.query_one(finish, &[&firsts, &lasts, &epochs]).unwrap();
    let fenced = "SELECT count(*) FROM ringshard.arc WHERE state = 'fenced'";
    stage.source.query_one(fenced, &[]).unwrap().get::<_, i64>(0) == 1
}

/// Harmless as the functions are, and not with these changes.
#[track_caller]
pub(crate) fn is_caught(file: &str, changes: &[(&str, &str)], interleaving: fn(&mut Stage) -> bool) {
    assert!(interleaving(&mut Stage::new(None)), "the protocol as it is");
    let mutant = patched(file, changes);
    let result = std::panic::catch_unwind(|| interleaving(&mut Stage::new(Some(&mutant))));
    assert!(!matches!(result, Ok(true)), "the mutant did no harm");
}

const BARRIER: &str = "    PERFORM pg_catalog.pg_advisory_xact_lock(7283001);\n";

#[test]
fn a_fence_without_the_barrier_loses_a_write() {
    is_caught(MOVES, &[(BARRIER, "")], a_writer_in_flight);
}

#[test]
fn a_write_without_the_barrier_is_lost() {
    let barrier = "pg_catalog.pg_advisory_xact_lock_shared(7283001) IS NULL;\n    guard_before";
    is_caught(FUNCTIONS, &[(barrier, "true;\n    guard_before")], a_fence_in_flight);
}

#[test]
fn a_purge_without_comparing_deletes_what_came_back() {
    is_caught(
        MOVES,
        &[("    IF NOT FOUND THEN\n        RETURN 'already';\n    END IF;\n    DELETE", "    DELETE")],
        a_late_purge,
    );
}

#[test]
fn an_adoption_that_writes_over_revives_old_rows() {
    let changes = [
        ("    IF FOUND THEN\n        RETURN 'already';\n    END IF;\n    -- Held", "    -- Held"),
        (
            "RETURN CASE WHEN FOUND THEN 'already' ELSE 'stale' END;\n    END IF;\n    guard",
            "NULL;\n    END IF;\n    guard",
        ),
    ];
    is_caught(MOVES, &changes, a_late_adoption);
}

#[test]
fn an_adoption_in_any_epoch_makes_two_owners() {
    let check = "    PERFORM FROM ringshard.meta WHERE epoch = the_epoch AND status = 'pending' FOR SHARE;\n    IF NOT FOUND THEN\n        RETURN 'stale';\n    END IF;\n    -- Waits";
    is_caught(MOVES, &[(check, "    -- Waits")], an_adoption_of_a_change_that_was_taken_back);
}

#[test]
fn an_announcement_without_comparing_makes_two_changes_of_one_epoch() {
    is_caught(
        MOVES,
        &[("WHEN 'decided' THEN epoch < the_epoch", "WHEN 'decided' THEN true")],
        a_rival_announcement,
    );
}

#[test]
fn a_fence_of_an_arc_of_this_epoch_goes_round_in_circles() {
    let changes = [("AND held.epoch < the_epoch)", ")")];
    is_caught(MOVES, &changes, a_fence_of_what_was_moved_in_this_epoch);
}

#[test]
fn a_finish_that_does_not_compare_loses_a_chunk_on_its_way() {
    let changes = [("       AND coalesce(pg_catalog.bool_and(state = 'owned'), true)", "")];
    is_caught(MOVES, &changes, a_finish_too_early);
}

#[test]
fn what_is_in_the_way_of_an_adoption_is_set_aside() {
    let mut stage = Stage::new(None);
    stage.announce(2, "shard_1", "decided");
    let stray = "INSERT INTO users VALUES ($1, 'stray', NULL, 'x')";
    stage.target.execute(stray, &[&stage.user]).unwrap();
    stage.moves(0, 2);
    assert_eq!(stage.seen(), (vec![1], vec!["first".into()]));
    let kept = "SELECT user_id, name, email, reason FROM ringshard.quarantine";
    let row = stage.target.query_one(kept, &[]).unwrap();
    assert_eq!((row.get(0), row.get(1), row.get(2)), (stage.user, "stray", "x"));
    assert!(row.get::<_, &str>(3).contains("in epoch 2"));
}

#[test]
fn rows_that_arrive_otherwise_than_they_were_sent_are_not_taken() {
    let mut stage = Stage::new(None);
    stage.announce(2, "shard_1", "decided");
    // Something at the target changes what is stored.
    let change = "CREATE FUNCTION public.change() RETURNS trigger LANGUAGE plpgsql AS \
                  $$ BEGIN NEW.name := 'changed'; RETURN NEW; END $$; \
                  CREATE TRIGGER change BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION public.change()";
    stage.target.batch_execute(change).unwrap();
    assert_eq!(stage.step("fence", 0, 2).unwrap(), "done");
    let read = stage.read(0, 2);
    let refused = stage.adopt(0, 2, &read).unwrap_err();
    assert_eq!(refused.code().unwrap().code(), "RS005");
    stage.target.batch_execute("DROP TRIGGER change ON users").unwrap();
    assert_eq!(stage.adopt(0, 2, &read).unwrap(), "done");
}
