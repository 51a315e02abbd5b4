//! Chunks that move: the protocol's steps by hand, as plain SQL, so that what reads and writes meets every state.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use postgres::Client;
use ringshard::model::ring::position::Position;
use ringshard::model::user::UserId;

use super::harness::Test;

/// A range of positions, as uuids in hexadecimal.
#[derive(Debug, Clone)]
pub(crate) struct Chunk {
    pub(crate) first: String,
    pub(crate) last: String,
}

impl Chunk {
    /// The whole arc that a user lies on.
    pub(crate) fn around(source: &mut Client, id: i64) -> Self {
        let place = format!("{:032x}", Position::of_user(UserId::new(id)).number());
        let sql = "SELECT first::text, last::text FROM ringshard.arc \
                   WHERE first <= $1::text::uuid AND last >= $1::text::uuid";
        let row = source.query_one(sql, &[&place]).unwrap();
        Self { first: row.get(0), last: row.get(1) }
    }
}

const BARRIER: &str = "SELECT pg_advisory_xact_lock(7283001); SET LOCAL ringshard.guard = 'checked'";

/// What comes before the first step: all shards hear that a change is under way in this epoch.
pub(crate) fn announce(test: &Test, epoch: i64) {
    for number in 1..=3 {
        test.execute(
            number,
            &format!(
                "UPDATE ringshard.meta SET epoch = {epoch}, status = 'pending', next_topology = topology, topology_md5 = NULL, \
                 participants = '[\"shard_1\", \"shard_2\", \"shard_3\"]'"
            ),
        );
    }
}

/// The first step: the source lets go.
pub(crate) fn fence(source: &mut Client, chunk: &Chunk, peer: usize, epoch: i64) {
    let mut step = source.transaction().unwrap();
    step.batch_execute(BARRIER).unwrap();
    let sql = "UPDATE ringshard.arc SET state = 'fenced', transfer_to = $2, epoch = $3 \
               WHERE last = $1::text::uuid AND state = 'owned'";
    assert_eq!(step.execute(sql, &[&chunk.last, &format!("shard_{peer}"), &epoch]).unwrap(), 1);
    step.commit().unwrap();
}

/// The second and third step: the target takes over, with the rows.
pub(crate) fn adopt(source: &mut Client, target: &mut Client, chunk: &Chunk, epoch: i64) {
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

/// The last step: the source forgets.
pub(crate) fn purge(source: &mut Client, chunk: &Chunk) {
    let mut step = source.transaction().unwrap();
    step.batch_execute(BARRIER).unwrap();
    let sql = "DELETE FROM users WHERE md5(user_id::text)::uuid BETWEEN $1::text::uuid AND $2::text::uuid";
    step.execute(sql, &[&chunk.first, &chunk.last]).unwrap();
    let sql = "DELETE FROM ringshard.arc WHERE last = $1::text::uuid AND state = 'fenced'";
    assert_eq!(step.execute(sql, &[&chunk.last]).unwrap(), 1);
    step.commit().unwrap();
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
                // Another source and another arc each time, around the users in turn.
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
                adopt(from, to, &chunk, epoch);
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

    /// Ends behind the move in hand, which must have gone well.
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
