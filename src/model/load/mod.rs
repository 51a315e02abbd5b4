//! A load, as values: who the users are that it is made of, which operations come in what mix, which keys they
//! touch, and whether what was read can be true.
//!
//! Random numbers follow from a seed, so each choice can be repeated. What the time is, and what a shard said, is
//! told by the caller.

pub mod fake_users;
pub mod key_history;
pub mod keys;
pub mod mix;
pub mod random;
pub mod write_tag;

#[cfg(test)]
mod tests;
