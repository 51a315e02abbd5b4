//! The commands about users, and those that also take other tables.

pub mod any_table;
pub mod count;
pub mod export;
pub mod import;
pub mod list_users;
pub mod one_user;
pub mod open_imports;
pub mod partial;
mod rejects;
