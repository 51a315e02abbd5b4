//! A load: its fake users, its mix of operations, its choice of keys, and the checker of what was read.
//!
//! Pure: random numbers follow from a seed, so that each choice can be repeated. The caller provides times and answers.

pub mod fake_users;
pub mod key_history;
pub mod keys;
pub mod mix;
pub mod random;
pub mod write_tag;

#[cfg(test)]
mod tests;
