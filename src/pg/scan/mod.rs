//! Reads all shards in parallel. It decides about no write.

pub mod list;
pub mod rows_by_key;
pub mod rows_of_table;
mod sizes;
pub mod snapshot;
pub mod sql;

pub use list::{count, list_users, scatter};
pub use rows_by_key::list_rows;
pub use sizes::{Size, last_known_rows, sizes};
pub use sql::run_statement;
