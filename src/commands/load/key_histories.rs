//! The histories of all keys that a run has written, for all of its clients.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::model::load::key_history::{KeyHistory, Version};
use crate::model::user::UserId;

/// How many parts there are, so that clients seldom wait for each other.
const STRIPES: u64 = 256;

/// Histories by key.
#[derive(Debug)]
pub(crate) struct KeyHistories(Vec<Mutex<HashMap<UserId, KeyHistory>>>);

impl KeyHistories {
    pub(crate) fn new() -> Self {
        Self((0..STRIPES).map(|_| Mutex::default()).collect())
    }

    /// Works with the history of a key, if it has one.
    pub(crate) fn with<T>(&self, key: UserId, work: impl FnOnce(Option<&mut KeyHistory>) -> T) -> T {
        work(self.stripe(key).lock().get_mut(&key))
    }

    /// The same, and a key that has none gets one.
    pub(crate) fn with_new<T>(
        &self,
        key: UserId,
        new: impl FnOnce() -> KeyHistory,
        work: impl FnOnce(&mut KeyHistory) -> T,
    ) -> T {
        let mut stripe = self.stripe(key).lock();
        work(stripe.entry(key).or_insert_with(new))
    }

    /// Which version of a key counts now.
    pub(crate) fn min_version(&self, key: UserId) -> Version {
        self.with(key, |history| history.map_or(0, |history| history.min_version()))
    }

    /// The keys whose histories tell what is to be there.
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
        &self.0[usize::try_from(at).expect("there are so many")]
    }
}
