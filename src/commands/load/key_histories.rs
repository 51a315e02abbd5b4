//! The histories of all keys that the clients of a run have written.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::model::load::key_history::{KeyHistory, Version};
use crate::model::user::UserId;

/// The number of stripes; with many, clients seldom wait for each other.
const STRIPES: u64 = 256;

/// Histories by key.
#[derive(Debug)]
pub(crate) struct KeyHistories(Vec<Mutex<HashMap<UserId, KeyHistory>>>);

impl KeyHistories {
    pub(crate) fn new() -> Self {
        Self((0..STRIPES).map(|_| Mutex::default()).collect())
    }

    /// Applies `work` to the history of a key, if it has one.
    pub(crate) fn with<T>(&self, key: UserId, work: impl FnOnce(Option<&mut KeyHistory>) -> T) -> T {
        work(self.stripe(key).lock().get_mut(&key))
    }

    /// Applies `work` to the history of a key, which is created if it has none.
    pub(crate) fn with_new<T>(
        &self,
        key: UserId,
        new: impl FnOnce() -> KeyHistory,
        work: impl FnOnce(&mut KeyHistory) -> T,
    ) -> T {
        let mut stripe = self.stripe(key).lock();
        work(stripe.entry(key).or_insert_with(new))
    }

    /// The minimum version that a read of the key may return now.
    pub(crate) fn min_version(&self, key: UserId) -> Version {
        self.with(key, |history| history.map_or(0, |history| history.min_version()))
    }

    /// The keys whose expected value is known.
    pub(crate) fn keys(&self) -> Vec<UserId> {
        let mut keys = Vec::new();
        for stripe in &self.0 {
            let stripe = stripe.lock();
            keys.extend(stripe.iter().filter(|(_, history)| !history.is_broken()).map(|(key, _)| *key));
        }
        keys.sort_unstable();
        keys
    }

    fn stripe(&self, key: UserId) -> &Mutex<HashMap<UserId, KeyHistory>> {
        let at = key.number().cast_unsigned() % STRIPES;
        &self.0[usize::try_from(at).expect("less than the number of stripes")]
    }
}
