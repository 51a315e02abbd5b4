//! Statements as they would be sent, for `explain`: text and named values. Sends nothing.
//!
//! Each is made by what makes the statement that is really sent. No address and no password stands in them.

use crate::model::names::{ClusterId, ShardName};
use crate::model::ring::position::Position;
use crate::model::user::UserId;
use crate::pg::catalog::CATALOG_VERSION;
use crate::pg::cluster::view::StableRing;
use crate::pg::net::session::OneLine;
use crate::pg::rows::statements::{
    Arguments, CREATE_FAST_PATH, DELETE_FAST_PATH, GET, GET_FAST_PATH, RowChange, RowOperation,
    UPDATE_FAST_PATH, WRITE,
};
use crate::pg::scan::list::{Filter, ListQuery, count_sql};

/// A statement and its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The SQL in one line, without comments.
    pub sql: String,
    /// The parameters in order, each with a name for the eye and its value as SQL has it.
    pub parameters: Vec<(&'static str, String)>,
}

/// How a user is read or written on its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfUser {
    /// What is sent first while nothing is known to be under way.
    pub stable_ring: Option<Statement>,
    /// What is sent if something is, or if that did nothing.
    pub by_arcs: Statement,
}

/// A shard, as statements about a user expect it.
#[derive(Debug, Clone, Copy)]
pub struct Owner<'a> {
    /// The cluster's id, if it is known.
    pub cluster: Option<ClusterId>,
    /// The shard's name.
    pub shard: &'a ShardName,
    /// The ring by which it owns the user, if nothing is known to be under way.
    pub stable_ring: Option<StableRing>,
}

impl Owner<'_> {
    /// A statement of `sql/queries/fast_path/`, with what is said of the user.
    fn stable_ring(&self, sql: &str, of_the_user: Vec<(&'static str, String)>) -> Option<Statement> {
        let (StableRing { ring, epoch }, cluster) = self.stable_ring.zip(self.cluster)?;
        let mut parameters = of_the_user;
        parameters.extend([
            ("ring", quoted(&ring.0.to_string())),
            ("epoch", epoch.to_string()),
            ("shard", quoted(self.shard.as_str())),
            ("cluster", quoted(&cluster.to_string())),
            ("catalog_version", CATALOG_VERSION.to_string()),
        ]);
        Some(Statement { sql: one_line(sql), parameters })
    }

    /// The read of a user.
    pub fn get(&self, id: UserId) -> OfUser {
        let position = format!("{:032x}", Position::of_user(id).number());
        OfUser {
            stable_ring: self.stable_ring(GET_FAST_PATH, vec![("id", id.to_string())]),
            by_arcs: Statement {
                sql: one_line(GET),
                parameters: vec![("position", quoted(&position)), ("id", id.to_string())],
            },
        }
    }

    /// The write of a user.
    pub fn write(&self, change: RowChange<'_>) -> OfUser {
        let Arguments { operation, id, name, region, email } = change.arguments();
        let text = |text: Option<&str>| text.map_or_else(|| "NULL".into(), quoted);
        let id = ("id", id.to_string());
        let patch = vec![
            ("set_name", name.0.to_string()),
            ("new_name", text(name.1)),
            ("set_region", region.0.to_string()),
            ("new_region", text(region.1)),
            ("set_email", email.0.to_string()),
            ("new_email", text(email.1)),
        ];
        let (sql, of_the_user) = match operation {
            RowOperation::Create => {
                let fields = [("name", text(name.1)), ("region", text(region.1)), ("email", text(email.1))];
                (CREATE_FAST_PATH, [vec![id.clone()], fields.to_vec()].concat())
            }
            RowOperation::Update => (UPDATE_FAST_PATH, [vec![id.clone()], patch.clone()].concat()),
            RowOperation::Delete => (DELETE_FAST_PATH, vec![id.clone()]),
        };
        let mut parameters = vec![
            ("the_cluster", text(self.cluster.map(|id| id.to_string()).as_deref())),
            ("the_shard", quoted(self.shard.as_str())),
            ("operation", quoted(operation.word())),
            id,
        ];
        parameters.extend(patch);
        OfUser {
            stable_ring: self.stable_ring(sql, of_the_user),
            by_arcs: Statement { sql: one_line(WRITE), parameters },
        }
    }
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
    without_parameters(include_str!("../../sql/queries/snapshot.sql"))
}

/// How full a shard is.
pub fn size() -> Statement {
    without_parameters(include_str!("../../sql/queries/size.sql"))
}

/// How a shard does.
pub fn stats() -> Statement {
    without_parameters(crate::pg::poll::stats::SHARD)
}

/// Whether a shard holds a user, owner or not.
pub fn holds(id: UserId) -> Statement {
    let sql = one_line(include_str!("../../sql/queries/holds.sql"));
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
