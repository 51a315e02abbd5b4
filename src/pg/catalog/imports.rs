//! The imports that shards know of: those that run, and those that were interrupted.

use std::collections::BTreeMap;

use postgres::types::Type;
use postgres::{Client, Row};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::model::names::ShardName;
use crate::pg::net::sqlstate;
use crate::pg::pool::Shards;

/// An import as one shard knows it.
#[derive(Debug, Clone)]
pub struct OpenImport {
    /// The identity of its file.
    pub source: Uuid,
    /// All records up to this one that were routed to the shard are stored.
    pub records: i64,
    /// How long ago it began.
    pub seconds: i64,
    /// Whether its session exists.
    pub is_running: bool,
    /// The name of the file as it was typed; `None` if an older version recorded it.
    pub file: Option<String>,
}

/// How many hexadecimal digits of an import's identity are shown.
const ID_DIGITS: usize = 8;

impl OpenImport {
    /// The identity as it is shown.
    pub fn id(&self) -> String {
        id_of(self.source)
    }

    /// Reads them, with the columns of [`OpenImport::of`].
    pub(crate) const QUERY: &str = include_str!("../../../sql/queries/imports.sql");

    pub(crate) fn of(row: &Row) -> Self {
        Self {
            source: row.get("source"),
            records: row.get("committed_through"),
            seconds: row.get("seconds"),
            is_running: row.get("is_running"),
            file: row.get("file"),
        }
    }
}

/// The identity of a file as it is shown.
pub fn id_of(source: Uuid) -> String {
    source.simple().to_string()[..ID_DIGITS].to_owned()
}

/// Whether a text may be an identity, as it is shown or whole.
pub fn is_id(text: &str) -> bool {
    text.len() >= ID_DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Imports by the identity of their file, each as its shards know it.
pub type Imports = BTreeMap<Uuid, Vec<(ShardName, OpenImport)>>;

/// The imports of all shards; and why shards do not answer.
pub fn all(shards: &Shards) -> (Imports, Vec<Error>) {
    let read = shards.on_each(&shards.names(), |name, session| {
        let rows = session.query(OpenImport::QUERY, &[]);
        rows.map_err(|cause| sqlstate::doing("read the imports", name, &cause))
    });
    let (mut found, mut errors) = (Imports::new(), Vec::new());
    for (name, rows) in read {
        match rows {
            Ok(rows) => {
                for import in rows.iter().map(OpenImport::of) {
                    found.entry(import.source).or_default().push((name.clone(), import));
                }
            }
            Err(error) => errors.push(error),
        }
    }
    (found, errors)
}

/// Deletes the progress of an import on one shard.
pub(crate) fn delete(client: &mut Client, source: Uuid) -> std::result::Result<(), postgres::Error> {
    let sql = "DELETE FROM ringshard.import WHERE source = $1";
    client.query_typed(sql, &[(&source, Type::UUID)]).map(|_| ())
}

/// Deletes the progress of an import on these shards.
pub fn forget(shards: &Shards, source: Uuid, names: &[ShardName]) -> Result<()> {
    let deleted = shards.on_each(names, |name, session| {
        let deleted = delete(session.client(), source);
        deleted.map_err(|cause| sqlstate::doing("delete the progress of the import", name, &cause))
    });
    deleted.into_iter().try_for_each(|(_, deleted)| deleted)
}
