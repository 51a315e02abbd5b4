//! Two shards, one user and one chunk, to run a move step by step by the functions of the catalog.

use postgres::{Client, Transaction};
use ringshard::model::ring::topology::{ShardSpec, Topology};

use super::harness::Test;
use super::move_steps::Chunk;
use super::rings::{owner, topology_of};

pub(crate) const MOVES: &str = include_str!("../../../sql/functions/rebalance.sql");

/// A file of functions with these changes.
pub(crate) fn patched(file: &str, changes: &[(&str, &str)]) -> String {
    changes.iter().fold(file.to_owned(), |text, (before, after)| {
        assert!(text.contains(before), "the functions do not hold `{before}` any more");
        text.replace(before, after)
    })
}

/// Two shards, a user on the first of them, and the chunk around it.
pub(crate) struct MoveFixture {
    pub(crate) test: Test,
    pub(crate) source: Client,
    pub(crate) target: Client,
    pub(crate) names: [String; 2],
    pub(crate) chunk: Chunk,
    pub(crate) user: i64,
}

/// The rows of a chunk.
pub(crate) struct Read {
    names: Vec<String>,
    columns: Vec<String>,
    counts: Vec<i64>,
    pub(crate) digests: Vec<String>,
    bytes: i64,
    rows: Vec<String>,
}

impl MoveFixture {
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
        let mut fixture = Self { test, source, target, names, chunk, user };
        fixture.write(0, "create", "first");
        fixture
    }

    /// Announces a change of this epoch. Another `heavier` shard makes another ring.
    pub(crate) fn announce(&mut self, epoch: i64, heavier: &str, condition: &str) -> [String; 2] {
        let before = topology_of(&[1, 2, 3]);
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
    pub(crate) fn write(&mut self, at: usize, operation: &str, name: &str) -> String {
        let (user, shard) = (self.user, self.names[at].clone());
        let cluster = self.test.cluster_id(1);
        let client = if at == 0 { &mut self.source } else { &mut self.target };
        let mut transaction = client.transaction().unwrap();
        let answer = write_user(&mut transaction, &cluster, &shard, operation, user, name);
        transaction.commit().unwrap();
        answer
    }

    pub(crate) fn read(&mut self, from: usize, epoch: i64) -> Read {
        let other = self.names[1 - from].clone();
        let client = if from == 0 { &mut self.source } else { &mut self.target };
        let sql = "SELECT names, columns, counts, digests::text[] AS digests, bytes, rows \
                   FROM ringshard.read_chunk($1, $2::text::uuid, $3::text::uuid, $4, 1000000)";
        let row = client.query_one(sql, &[&epoch, &self.chunk.first, &self.chunk.last, &other]).unwrap();
        Read {
            names: row.get("names"),
            columns: row.get("columns"),
            counts: row.get("counts"),
            digests: row.get("digests"),
            bytes: row.get("bytes"),
            rows: row.get("rows"),
        }
    }

    pub(crate) fn receive(
        &mut self,
        from: usize,
        epoch: i64,
        read: &Read,
    ) -> Result<String, postgres::Error> {
        let source = self.names[from].clone();
        let client = if from == 0 { &mut self.target } else { &mut self.source };
        let sql = "SELECT ringshard.receive_chunk($1, $2::text::uuid, $3::text::uuid, $4, $5, $6, $7, $8::text[]::numeric[], $9, $10)";
        let (chunk, Read { names, columns, counts, digests, bytes, rows }) = (&self.chunk, read);
        client
            .query_one(
                sql,
                &[&epoch, &chunk.first, &chunk.last, &source, names, columns, counts, digests, bytes, rows],
            )
            .map(|row| row.get(0))
    }

    /// `fence`, `purge` or `release` on one of the two shards.
    pub(crate) fn step(&mut self, function: &str, at: usize, epoch: i64) -> Result<String, postgres::Error> {
        let other = self.names[1 - at].clone();
        let client = if at == 0 { &mut self.source } else { &mut self.target };
        let neighbours = if function == "fence" { "$2::text::uuid, $3::text::uuid, " } else { "" };
        // By a mover that knows the newest epoch.
        let decided = if function == "fence" { "" } else { ", (SELECT epoch FROM ringshard.meta)" };
        let sql = format!(
            "SELECT ringshard.{function}($1, $2::text::uuid, $3::text::uuid, {neighbours}$4{decided})"
        );
        client.query_one(&sql, &[&epoch, &self.chunk.first, &self.chunk.last, &other]).map(|row| row.get(0))
    }

    /// All steps of the chunk's move.
    pub(crate) fn move_chunk(&mut self, from: usize, epoch: i64) {
        assert_eq!(self.step("fence", from, epoch).unwrap(), "done");
        let read = self.read(from, epoch);
        assert_eq!(self.receive(from, epoch, &read).unwrap(), "done");
        assert_eq!(self.step("purge", from, epoch).unwrap(), "done");
    }

    /// The same while a writer is in the middle of its transaction. The unchanged function does not fence before that
    /// ends.
    pub(crate) fn move_chunk_under(&mut self, writer: Transaction<'_>) {
        if self.step("fence", 0, 2).is_ok() {
            let read = self.read(0, 2);
            assert_eq!(self.receive(0, 2, &read).unwrap(), "done");
            writer.commit().unwrap();
            assert_eq!(self.step("purge", 0, 2).unwrap(), "done");
        } else {
            writer.commit().unwrap();
            self.move_chunk(0, 2);
        }
    }

    /// The steps after a fence, while a writer is still in its transaction. Whether the user is on the target alone
    /// in the end, with the writer's value if it has written.
    pub(crate) fn finish_move_under(&mut self, writer: Transaction<'_>, has_written: bool) -> bool {
        let read = self.read(0, 2);
        assert_eq!(self.receive(0, 2, &read).unwrap(), "done");
        writer.commit().unwrap();
        self.step("purge", 0, 2).unwrap();
        let expected = if has_written { "second" } else { "first" };
        self.owners_and_names() == (vec![1], vec![expected.into()])
    }

    /// The owners of the user, and the names that they store: one of each if nothing is wrong.
    pub(crate) fn owners_and_names(&mut self) -> (Vec<usize>, Vec<String>) {
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

pub(crate) fn write_user(
    transaction: &mut Transaction<'_>,
    cluster: &str,
    shard: &str,
    operation: &str,
    user: i64,
    name: &str,
) -> String {
    let sql =
        "SELECT answer FROM ringshard.write_user($1, $2, 14, 0, $3, $4, true, $5, false, NULL, false, NULL)";
    transaction.query_one(sql, &[&cluster, &shard, &operation, &user, &name]).unwrap().get(0)
}

/// Asserts that the interleaving is harmless with the functions as they are, and is not with these changes.
#[track_caller]
pub(crate) fn is_caught(file: &str, changes: &[(&str, &str)], interleaving: fn(&mut MoveFixture) -> bool) {
    assert!(interleaving(&mut MoveFixture::new(None)), "the unchanged protocol fails");
    let mutant = patched(file, changes);
    let result = std::panic::catch_unwind(|| interleaving(&mut MoveFixture::new(Some(&mutant))));
    assert!(!matches!(result, Ok(true)), "the mutant was not detected");
}
