//! SQL of the user: by its key, and merged from all shards, held against one Postgres with the same rows.

pub(crate) mod all_shards;
pub(crate) mod attacked;
pub(crate) mod generated;
pub(crate) mod generator;
pub(crate) mod moving;
pub(crate) mod routed;
pub(crate) mod shop;
pub(crate) mod transactions;
