//! The commands about users.

pub mod count;
pub mod export;
pub mod import;
pub mod list_users;
pub mod one_user;
pub mod partial;
