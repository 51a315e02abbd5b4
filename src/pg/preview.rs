//! Statements as they would be sent, for `explain`: text and named values. Sends nothing.
//!
//! Each is made by what makes the statement that is really sent. No address and no password stands in them.

use super::rows::{Arguments, Change, GET, WRITE};
use super::scatter::{Filter, ListQuery, count_sql};
use super::session::OneLine;
use crate::model::names::{ClusterId, ShardName};
use crate::model::position::Position;
use crate::model::user::UserId;

/// A statement and its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The SQL in one line, without comments.
    pub sql: String,
    /// The parameters in order, each with a name for the eye and its value as SQL has it.
    pub parameters: Vec<(&'static str, String)>,
}

/// The read of a user on its owner.
pub fn get_user(id: UserId) -> Statement {
    let position = format!("{:032x}", Position::of_user(id).number());
    Statement {
        sql: one_line(GET),
        parameters: vec![("position", quoted(&position)), ("id", id.to_string())],
    }
}

/// The write of a user on its owner.
pub fn write_user(cluster: Option<&ClusterId>, shard: &ShardName, change: Change<'_>) -> Statement {
    let Arguments { operation, id, name, region, email } = change.arguments();
    let text = |text: Option<&str>| text.map_or_else(|| "NULL".into(), quoted);
    let parameters = vec![
        ("the_cluster", text(cluster.map(ClusterId::as_str))),
        ("the_shard", quoted(shard.as_str())),
        ("operation", quoted(operation)),
        ("id", id.to_string()),
        ("set_name", name.0.to_string()),
        ("new_name", text(name.1)),
        ("set_region", region.0.to_string()),
        ("new_region", text(region.1)),
        ("set_email", email.0.to_string()),
        ("new_email", text(email.1)),
    ];
    Statement { sql: one_line(WRITE), parameters }
}

/// The read of a shard's users by id.
pub fn list_users(filter: &Filter) -> Statement {
    let parameters = [
        filter.after.map(|after| ("after", after.to_string())),
        filter.region.as_deref().map(|region| ("region", quoted(region))),
        filter.limit.map(|limit| ("limit", limit.to_string())),
    ];
    let parameters = parameters.into_iter().flatten().collect();
    Statement { sql: one_line(&ListQuery::new(filter, "").sql), parameters }
}

/// The count of a shard's users.
pub fn count(by_region: bool, region: Option<&str>) -> Statement {
    let parameters = region.map(|region| ("region", quoted(region))).into_iter().collect();
    Statement { sql: one_line(&count_sql(by_region, region.is_some(), "")), parameters }
}

/// What each snapshot begins with: who answers, its epoch and its arcs.
pub fn snapshot() -> Statement {
    without_parameters(include_str!("../../sql/snapshot.sql"))
}

/// How full a shard is.
pub fn size() -> Statement {
    without_parameters(include_str!("../../sql/size.sql"))
}

/// How a shard does.
pub fn stats() -> Statement {
    without_parameters(super::stats::SHARD)
}

/// Whether a shard holds a user, owner or not.
pub fn holds(id: UserId) -> Statement {
    let sql = one_line(include_str!("../../sql/holds.sql"));
    Statement { sql, parameters: vec![("id", id.to_string())] }
}

/// A statement that somebody wrote: as it is, without what ends it.
pub fn of_the_user(sql: &str) -> String {
    sql.trim_end_matches(|c: char| c == ';' || c.is_whitespace()).to_owned()
}

fn without_parameters(sql: &str) -> Statement {
    Statement { sql: one_line(sql), parameters: Vec::new() }
}

fn one_line(sql: &str) -> String {
    OneLine(sql).to_string()
}

/// A text as a literal of SQL.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
