//! What the shards say, asked again and again beside everything else.

pub mod health;
pub mod stats;
