//! The connections of an application that writes straight to the shards, and does what the guard says.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use postgres::error::SqlState;
use postgres::{Client, Transaction};

use super::harness::Test;
use super::random::Random;

/// Why a transaction cannot be committed on a shard; without an error, a row is not there.
#[derive(Debug)]
pub(crate) struct Refusal(Option<postgres::Error>);

impl From<postgres::Error> for Refusal {
    fn from(cause: postgres::Error) -> Self {
        Self(Some(cause))
    }
}

/// Fails if no row was found.
pub(crate) fn found(count: u64) -> Result<u64, Refusal> {
    if count == 0 { Err(Refusal(None)) } else { Ok(count) }
}

/// What the writers of a test share with it.
#[derive(Clone, Default)]
pub(crate) struct Shared {
    pub(crate) is_over: Arc<AtomicBool>,
    /// How many of the shards the writers know, from the first.
    pub(crate) joined: Arc<AtomicUsize>,
    /// Transactions that were committed.
    pub(crate) committed: Arc<AtomicUsize>,
}

pub(crate) struct ShardClients {
    clients: Vec<(&'static str, Client)>,
    shared: Shared,
    random: Random,
    /// How often a shard named the owner.
    pub(crate) redirected: usize,
}

impl ShardClients {
    /// Connects to the shards of these numbers and names.
    pub(crate) fn new(test: &Test, shards: &[(usize, &'static str)], shared: &Shared, seed: u64) -> Self {
        let client = |(number, name): &(usize, _)| (*name, test.other_program("postgres", *number));
        let clients = shards.iter().map(client).collect();
        Self { clients, shared: shared.clone(), random: Random(seed), redirected: 0 }
    }

    /// Commits a transaction on the shard that owns its key, which it looks for from any of them on. `None` if all is over before.
    pub(crate) fn transact<T>(
        &mut self,
        work: impl Fn(&mut Transaction<'_>) -> Result<T, Refusal>,
    ) -> Option<T> {
        let joined = || self.shared.joined.load(Ordering::SeqCst);
        let mut shard = usize::try_from(self.random.below(joined() as u64)).unwrap();
        let mut missed = 0;
        while !self.shared.is_over.load(Ordering::SeqCst) {
            let Refusal(cause) = match attempt(&mut self.clients[shard].1, &work) {
                Ok(done) => {
                    self.shared.committed.fetch_add(1, Ordering::SeqCst);
                    return Some(done);
                }
                Err(refusal) => refusal,
            };
            match cause.as_ref().and_then(postgres::Error::code).map(SqlState::code) {
                // Another shard has the row. The constraints are checked before the guard sees a new one, and its id is made before.
                None | Some("23503" | "23505" | "RS010") => {
                    missed += 1;
                    assert!(missed < 1_000, "no shard does it: on {}: {cause:?}", self.clients[shard].0);
                    shard = (shard + 1) % joined();
                }
                Some("RS001") => {
                    // "connect to `NAME`"
                    let hint = cause.as_ref().unwrap().as_db_error().unwrap().hint().unwrap_or_default();
                    let owner = hint.split('`').nth(1);
                    shard = self.clients.iter().position(|(name, _)| Some(*name) == owner).unwrap();
                    self.redirected += 1;
                    thread::sleep(Duration::from_millis(2));
                }
                Some("RS002") => thread::sleep(Duration::from_millis(10)),
                // A deadlock, or a lock that a mover held for too long.
                Some("40P01" | "55P03") => {}
                _ => panic!("on {}: {cause:?}", self.clients[shard].0),
            }
        }
        None
    }
}

fn attempt<T>(
    client: &mut Client,
    work: impl Fn(&mut Transaction<'_>) -> Result<T, Refusal>,
) -> Result<T, Refusal> {
    let mut transaction = client.transaction()?;
    let done = work(&mut transaction)?;
    transaction.commit()?;
    Ok(done)
}
