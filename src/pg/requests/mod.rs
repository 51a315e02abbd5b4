//! Requests to one shard about its arcs and its state: the steps of a rebalance, and what a takeover writes.

pub(crate) mod chunk_rows;
pub(crate) mod confirm;
pub(crate) mod connection;
mod overwrite;
pub(crate) mod stream_chunk;
