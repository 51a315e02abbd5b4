//! What surrounds the shards: poolers, and what users put on their own tables.

pub(crate) mod pooler;
