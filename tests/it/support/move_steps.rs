//! The steps of a chunk's move in plain SQL, so that reads and writes can be tested in every state.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use postgres::Client;
use ringshard::model::ring::position::Position;
use ringshard::model::user::UserId;

use super::gate::Gate;
use super::harness::{Ran, Test};
use super::rings::owner;

/// A range of positions, as uuids in hexadecimal.
#[derive(Debug, Clone)]
pub(crate) struct Chunk {
    pub(crate) first: String,
    pub(crate) last: String,
}

impl Chunk {
    /// The arc that contains a user.
    pub(crate) fn around(source: &mut Client, id: i64) -> Self {
        let place = format!("{:032x}", Position::of_user(UserId::new(id)).number());
        let sql = "SELECT first::text, last::text FROM ringshard.arc \
                   WHERE first <= $1::text::uuid AND last >= $1::text::uuid";
        let row = source.query_one(sql, &[&place]).unwrap();
        Self { first: row.get(0), last: row.get(1) }
    }
}

const BARRIER: &str = "SELECT pg_advisory_xact_lock(7283001); SET LOCAL ringshard.guard = 'checked'";

/// Announces on all shards a change of this epoch whose next topology is the current one: arcs may lie anywhere.
pub(crate) fn announce(test: &Test, epoch: i64) {
    (1..=3).for_each(|number| announce_on(test, number, epoch));
}

/// Announces the same change on one shard.
pub(crate) fn announce_on(test: &Test, number: usize, epoch: i64) {
    let sql = "UPDATE ringshard.meta SET epoch = $1, status = 'pending', next_topology = topology, topology_md5 = NULL, \
                      participants = '[\"shard_1\", \"shard_2\", \"shard_3\"]'";
    test.client(number).execute(sql, &[&epoch]).unwrap();
}

/// The first step: the source fences the chunk.
pub(crate) fn fence(source: &mut Client, chunk: &Chunk, to: usize, epoch: i64) {
    let mut step = source.transaction().unwrap();
    step.batch_execute(BARRIER).unwrap();
    let sql = "UPDATE ringshard.arc SET state = 'fenced', transfer_to = $2, epoch = $3 \
               WHERE last = $1::text::uuid AND state = 'owned'";
    assert_eq!(step.execute(sql, &[&chunk.last, &format!("shard_{to}"), &epoch]).unwrap(), 1);
    step.commit().unwrap();
}

/// The second and third step: the target receives the rows and the ownership.
pub(crate) fn receive(source: &mut Client, target: &mut Client, chunk: &Chunk, epoch: i64) {
    let sql = "SELECT user_id, name, region, email FROM users \
               WHERE md5(user_id::text)::uuid BETWEEN $1::text::uuid AND $2::text::uuid";
    let rows = source.query(sql, &[&chunk.first, &chunk.last]).unwrap();
    let mut step = target.transaction().unwrap();
    step.batch_execute(BARRIER).unwrap();
    let insert = "INSERT INTO ringshard.arc (first, last, epoch) VALUES ($1::text::uuid, $2::text::uuid, $3)";
    step.execute(insert, &[&chunk.first, &chunk.last, &epoch]).unwrap();
    for row in rows {
        let text = |at: usize| row.get::<_, Option<String>>(at);
        step.execute(
            "INSERT INTO users VALUES ($1, $2, $3, $4)",
            &[&row.get::<_, i64>(0), &text(1), &text(2), &text(3)],
        )
        .unwrap();
    }
    step.commit().unwrap();
}

/// The last step: the source deletes the rows and the arc.
pub(crate) fn purge(source: &mut Client, chunk: &Chunk) {
    let mut step = source.transaction().unwrap();
    step.batch_execute(BARRIER).unwrap();
    let sql = "DELETE FROM users WHERE md5(user_id::text)::uuid BETWEEN $1::text::uuid AND $2::text::uuid";
    step.execute(sql, &[&chunk.first, &chunk.last]).unwrap();
    let sql = "DELETE FROM ringshard.arc WHERE last = $1::text::uuid AND state = 'fenced'";
    assert_eq!(step.execute(sql, &[&chunk.last]).unwrap(), 1);
    step.commit().unwrap();
}

/// All steps of a chunk's move, one after the other.
pub(crate) fn move_chunk(source: &mut Client, target: &mut Client, chunk: &Chunk, to: usize, epoch: i64) {
    fence(source, chunk, to, epoch);
    receive(source, target, chunk, epoch);
    purge(source, chunk);
}

/// Runs a command that reads all shards while the chunk of user 1 moves from its owner to `target` in epoch 2. The shard
/// `gated`, one of the two, is read after the move, and the other one before it.
pub(crate) fn read_while_user_1_moves(test: &Test, words: &[&str], target: usize, gated: usize) -> Ran {
    let source = owner(1);
    let (mut from, mut to) = (test.client(source), test.client(target));
    let gate = Gate::new(&test.database(gated), "array_agg");
    let mut reader = test.command();
    reader.args(words).env("RINGSHARD_SHARDS", test.shards_with(gated, &gate.url()));
    let reader = reader.env("RINGSHARD_CLUSTER", test.cluster_id(1)).spawn().unwrap();
    gate.wait_until_reached();
    // The other shard's snapshot is open when its session is idle in its transaction.
    let other = if gated == target { source } else { target };
    let open = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND state = 'idle in transaction' \
                AND query LIKE '%array_agg%'";
    while test.query(other, open, &[&test.database(other)])[0].get::<_, i64>(0) == 0 {
        thread::sleep(Duration::from_millis(5));
    }
    let chunk = Chunk::around(&mut from, 1);
    move_chunk(&mut from, &mut to, &chunk, target, 2);
    gate.open();
    Ran::of(reader)
}

/// Moves arcs between the three shards of a test, one after the other, until it is dropped.
pub(crate) struct Mover {
    ended: Arc<AtomicBool>,
    moves: Arc<AtomicI64>,
    thread: Option<JoinHandle<()>>,
}

impl Mover {
    /// Starts moving, with a pause between the steps.
    pub(crate) fn start(test: &Test, pause: Duration) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let moves = Arc::new(AtomicI64::new(0));
        let mut clients: Vec<Client> = (1..=3).map(|number| test.client(number)).collect();
        let (end, count) = (Arc::clone(&ended), Arc::clone(&moves));
        let thread = thread::spawn(move || {
            for epoch in 2.. {
                if end.load(Ordering::SeqCst) {
                    return;
                }
                // Another source and another arc each time, which contain the users in turn.
                let id = epoch * 7 % 500 + 1;
                let holds = "SELECT count(*) FROM ringshard.arc WHERE first <= md5($1)::uuid AND last >= md5($1)::uuid";
                let holder = (0..3).find(|at| {
                    clients[*at].query_one(holds, &[&id.to_string()]).unwrap().get::<_, i64>(0) == 1
                });
                let source = holder.unwrap();
                let target = (source + 1 + usize::try_from(epoch).unwrap() % 2) % 3;
                let chunk = Chunk::around(&mut clients[source], id);
                fence(&mut clients[source], &chunk, target + 1, epoch);
                thread::sleep(pause);
                let [from, to] = clients.get_disjoint_mut([source, target]).unwrap();
                receive(from, to, &chunk, epoch);
                thread::sleep(pause);
                purge(&mut clients[source], &chunk);
                thread::sleep(pause);
                count.store(epoch - 1, Ordering::SeqCst);
            }
        });
        Self { ended, moves, thread: Some(thread) }
    }

    /// How many arcs have moved so far.
    pub(crate) fn moves(&self) -> i64 {
        self.moves.load(Ordering::SeqCst)
    }

    /// Stops after the current move. Asserts that it succeeded, and returns the number of moves.
    pub(crate) fn stop(mut self) -> i64 {
        self.ended.store(true, Ordering::SeqCst);
        self.thread.take().unwrap().join().unwrap();
        self.moves()
    }
}

impl Drop for Mover {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
    }
}
