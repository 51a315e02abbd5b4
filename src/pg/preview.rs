//! The statements that commands would send, for `explain`: text and named values. Sends nothing.
//!
//! The code that makes the real statements makes these too. They contain no address and no password.

use crate::model::names::{ClusterId, ShardName};
use crate::model::ring::position::Position;
use crate::model::ring::topology::Epoch;
use crate::model::user::UserId;
use crate::pg::catalog::CATALOG_VERSION;
use crate::pg::cluster::view::StableRing;
use crate::pg::net::session::OneLine;
use crate::pg::rows::any_row::{self, GivenValues, RowKey};
use crate::pg::rows::statements::{
    Arguments, CREATE_FAST_PATH, DELETE_FAST_PATH, GET, GET_FAST_PATH, RowOperation, UPDATE_FAST_PATH,
    UserChange, WRITE,
};
use crate::pg::scan::list::{Filter, ListQuery, count_sql};

/// A statement and its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The SQL in one line, without comments.
    pub sql: String,
    /// The parameters in order, each with a name and its value as an SQL literal.
    pub parameters: Vec<(&'static str, String)>,
}

/// The statements that read or write a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfUser {
    /// The statement of the fast path, if no change is known to be under way.
    pub fast_path: Option<Statement>,
    /// The statement that is sent otherwise, or if the fast path fails.
    pub by_arcs: Statement,
}

/// The shard that the statements expect.
#[derive(Debug, Clone, Copy)]
pub struct Owner<'a> {
    /// The cluster's id, if known.
    pub cluster: Option<ClusterId>,
    /// The shard's name.
    pub shard: &'a ShardName,
    /// The stable ring by which it owns the user; `None` if a change is known to be under way.
    pub stable_ring: Option<StableRing>,
}

impl Owner<'_> {
    /// A statement of `sql/queries/fast_path/`, with the parameters about the user.
    fn fast_path(&self, sql: &str, mut parameters: Vec<(&'static str, String)>) -> Option<Statement> {
        let (StableRing { ring, epoch }, cluster) = self.stable_ring.zip(self.cluster)?;
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
            fast_path: self.fast_path(GET_FAST_PATH, vec![("id", id.to_string())]),
            by_arcs: Statement {
                sql: one_line(GET),
                parameters: vec![("position", quoted(&position)), ("id", id.to_string())],
            },
        }
    }

    /// The first parameters of a write.
    fn of_write(&self, operation: RowOperation) -> Vec<(&'static str, String)> {
        vec![
            ("the_cluster", self.cluster.map_or_else(|| "NULL".into(), |id| quoted(&id.to_string()))),
            ("the_shard", quoted(self.shard.as_str())),
            ("client_version", CATALOG_VERSION.to_string()),
            ("known_epoch", self.stable_ring.map_or(Epoch::GUESSED, |ring| ring.epoch).to_string()),
            ("operation", quoted(operation.name())),
        ]
    }

    /// The write of a user.
    pub fn write(&self, change: UserChange<'_>) -> OfUser {
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
        let (sql, of_user) = match operation {
            RowOperation::Create => {
                let fields = [("name", text(name.1)), ("region", text(region.1)), ("email", text(email.1))];
                (CREATE_FAST_PATH, [vec![id.clone()], fields.to_vec()].concat())
            }
            RowOperation::Update => (UPDATE_FAST_PATH, [vec![id.clone()], patch.clone()].concat()),
            RowOperation::Delete => (DELETE_FAST_PATH, vec![id.clone()]),
        };
        let mut parameters = self.of_write(operation);
        parameters.push(id);
        parameters.extend(patch);
        OfUser {
            fast_path: self.fast_path(sql, of_user),
            by_arcs: Statement { sql: one_line(WRITE), parameters },
        }
    }
}

/// The read of a row of any table.
pub fn get_row(row: &RowKey<'_>) -> OfUser {
    let [table, key, given] = row.parameters(&GivenValues::new());
    let position = format!("{:032x}", Position::of_key(row.text()).number());
    let parameters = vec![
        ("position", quoted(&position)),
        ("table_name", quoted(&table)),
        ("the_key", quoted(&key)),
        ("given", quoted(&given)),
    ];
    OfUser { fast_path: None, by_arcs: Statement { sql: one_line(any_row::READ.as_str()), parameters } }
}

/// A write of a row of any table.
pub fn write_row(owner: Owner<'_>, row: &RowKey<'_>, operation: RowOperation, given: &GivenValues) -> OfUser {
    let with_key = if operation == RowOperation::Create { row.with_key(given) } else { given.clone() };
    let [table, key, given] = row.parameters(&with_key);
    let mut parameters = owner.of_write(operation);
    parameters.extend([("table_name", quoted(&table)), ("the_key", quoted(&key)), ("given", quoted(&given))]);
    OfUser { fast_path: None, by_arcs: Statement { sql: one_line(any_row::WRITE), parameters } }
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

/// The first statement of each snapshot: identity, epoch and arcs of the shard.
pub fn snapshot() -> Statement {
    without_parameters(include_str!("../../sql/queries/snapshot.sql"))
}

/// The number of users and the size of the table.
pub fn size() -> Statement {
    without_parameters(include_str!("../../sql/queries/size.sql"))
}

/// The statistics of a shard.
pub fn stats() -> Statement {
    without_parameters(crate::pg::poll::stats::SHARD)
}

/// A new id of a shard.
pub fn next_own_id() -> Statement {
    without_parameters(crate::pg::rows::own_id::NEXT_OWN_ID)
}

/// Whether a shard has a row with a key.
pub fn has_key(key: &str) -> Statement {
    let sql = one_line(include_str!("../../sql/queries/has_key.sql"));
    Statement { sql, parameters: vec![("key", quoted(key))] }
}

/// The user's own statement, without the final semicolon.
pub fn own_statement(sql: &str) -> String {
    sql.trim_end_matches(|c: char| c == ';' || c.is_whitespace()).to_owned()
}

fn without_parameters(sql: &str) -> Statement {
    Statement { sql: one_line(sql), parameters: Vec::new() }
}

fn one_line(sql: &str) -> String {
    OneLine(sql).to_string()
}

/// A text as an SQL literal.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
