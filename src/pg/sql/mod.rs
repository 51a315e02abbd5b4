//! SQL of the user: sent to the owner of the key that it names, or to all shards, whose answers are merged.

mod all_shards;
pub(crate) mod answer;
pub(crate) mod by_key;
mod gather;
mod merged;
mod parts;
mod transaction;

use std::collections::BTreeSet;

use sqlparser::ast::{Query, Statement};

pub use answer::{Answer, AnswerRows, Request};
use answer::{begins_as_query, check_changes_rows, writes};
pub use transaction::{Control, Transaction, control};

pub use crate::pg::scan::sql::StatementColumn;

use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::model::report::Cell;
use crate::model::sql::locality::{Found, analyse};
use crate::model::sql::{self, Reason};
use crate::model::table::Tables;
use crate::pg::cluster::Cluster;
use crate::pg::scan;

/// Where a statement runs.
#[derive(Debug)]
enum Place<'a> {
    /// On each shard by itself.
    PerShard,
    /// On any shard.
    Any,
    /// On the owner of these keys.
    Keys(Vec<String>),
    /// On all shards, whose answers become one.
    All(&'a Query),
}

/// Runs a statement where it belongs.
pub fn run(cluster: &Cluster, request: &Request<'_>) -> Result<Answer> {
    if !request.per_shard.is_empty() {
        return per_shard(cluster, request, &request.per_shard);
    }
    let parsed = sql::parse(request.sql);
    let mut view = cluster.view();
    if let Ok(statement) = &parsed
        && analysed(view.topology.tables(), statement, &BTreeSet::new())
            .unknown
            .iter()
            .any(|name| !is_system(name))
    {
        // It may be a table that was added since this process learned of the tables.
        cluster.refresh()?;
        view = cluster.view();
    }
    let tables = view.topology.tables();
    if let Some(key) = request.key {
        let (key, statement) = (canonical(tables, key)?, parsed.as_ref().ok());
        if may_write(request.sql) {
            check_changes_rows(request.sql, statement)?;
            check_is_about(tables, statement, &key)?;
        }
        return by_key::run(cluster, request.sql, statement, &[key]);
    }
    let statement = match &parsed {
        Ok(statement) => statement,
        Err(why) => return unparsed(cluster, request, why),
    };
    if request.all_shards {
        return on_all_shards(cluster, request, statement);
    }
    if let Statement::Explain { statement: inner, .. } = statement
        && let Some(query) = sql::query_of(inner)
    {
        match place(tables, inner)? {
            Place::Keys(keys) => return by_key::explain(cluster, request.sql, inner, &keys),
            Place::All(_) => return merged::explain(cluster, request, statement, query),
            Place::PerShard | Place::Any => {}
        }
    }
    match place(tables, statement)? {
        Place::PerShard => per_shard(cluster, request, &cluster.shards().names()),
        Place::Any => {
            let any = cluster.shards().names().into_iter().next().into_iter().collect::<Vec<_>>();
            let answer = per_shard(cluster, request, &any)?;
            Ok(Answer { is_per_shard: false, ..answer })
        }
        Place::Keys(keys) => {
            let answer = by_key::run(cluster, request.sql, Some(statement), &keys);
            // A shard has told of another topology, in which the key may be none. What writes has not been done then.
            let is_open = answer
                .as_ref()
                .map_or_else(|error| error.kind() == Kind::Locked, |answer| answer.done.is_none());
            if is_open && cluster.view().topology.tables() != tables {
                return run(cluster, request);
            }
            answer
        }
        Place::All(query) => merged::run(cluster, request, query),
    }
}

/// Runs a statement that writes on all shards, unless its key says that it is about one.
fn on_all_shards(cluster: &Cluster, request: &Request<'_>, statement: &Statement) -> Result<Answer> {
    if !writes(statement) {
        return Err(Error::new(Kind::Usage, "--all-shards is for a statement that writes")
            .hint("leave it out: a query without a key is asked of all shards"));
    }
    check_changes_rows("", Some(statement))?;
    let view = cluster.view();
    let found = analysed(view.topology.tables(), statement, &BTreeSet::new());
    match found.keys.as_deref() {
        Some([key]) if is_understood(&found) => {
            by_key::run(cluster, request.sql, Some(statement), std::slice::from_ref(key))
        }
        _ => all_shards::run(cluster, request.sql, statement),
    }
}

/// Whether a relation belongs to Postgres or to ringshard itself.
fn is_system(name: &str) -> bool {
    ["pg_", "information_schema.", "ringshard."].iter().any(|begin| name.starts_with(begin))
}

/// The names of the tables of the cluster and of their columns, quoted where necessary.
pub fn names(cluster: &Cluster) -> Result<Vec<String>> {
    let view = cluster.view();
    let tables: Vec<String> = view
        .topology
        .tables()
        .all()
        .iter()
        .map(|table| format!("'{}'", table.name.as_sql().replace('\'', "''")))
        .collect();
    let Some(first) = cluster.shards().names().into_iter().next().filter(|_| !tables.is_empty()) else {
        return Ok(Vec::new());
    };
    let sql = format!(
        "SELECT DISTINCT pg_catalog.quote_ident(name) FROM pg_catalog.unnest(ARRAY[{}]) AS tables (of), \
         LATERAL (SELECT relname FROM pg_catalog.pg_class WHERE oid = pg_catalog.to_regclass(of) \
                  UNION ALL SELECT attname FROM pg_catalog.pg_attribute \
                  WHERE attrelid = pg_catalog.to_regclass(of) AND attnum > 0 AND NOT attisdropped) AS names (name) ORDER BY 1",
        tables.join(", ")
    );
    let answers = scan::run_statement(cluster, &sql, &[first], false)?;
    let text = |cell: Option<Cell>| if let Some(Cell::Text(text)) = cell { Some(text) } else { None };
    let rows: Result<Vec<Option<String>>> =
        answers.rows.map(|row| Ok(text(row?.1.into_iter().next()))).collect();
    Ok(rows?.into_iter().flatten().collect())
}

/// Where a statement would run, in words.
pub fn route(tables: &Tables, request: &Request<'_>) -> Result<String> {
    if control(request.sql).is_some() {
        return Ok("none: a transaction is on the owner of the first key that a statement in it names".into());
    }
    if let Some(key) = request.key {
        return Ok(format!("the owner of the key `{}`", canonical(tables, key)?));
    }
    let Ok(statement) = sql::parse(request.sql) else {
        return Ok("refused without --key or --per-shard".into());
    };
    if request.all_shards && writes(&statement) {
        all_shards::check(tables, &statement)?;
        return Ok("all shards, once no row is between two of them; committed on all or on none".into());
    }
    Ok(match place(tables, &statement)? {
        Place::PerShard => "each shard by itself, as it names no table of the cluster".into(),
        Place::Any => "one shard, as every shard has the same rows".into(),
        Place::Keys(keys) => format!("the owner of the key `{}`", keys.join("`, `")),
        Place::All(_) => {
            "all shards, each in a snapshot: each computes its part, and one of them merges the parts".into()
        }
    })
}

/// Finds where a statement runs.
fn place<'a>(tables: &Tables, statement: &'a Statement) -> Result<Place<'a>> {
    let found = analysed(tables, statement, &BTreeSet::new());
    let query = sql::query_of(statement);
    match (found.keys.clone(), query) {
        (Some(keys), Some(_)) if keys.len() == 1 && is_understood(&found) => Ok(Place::Keys(keys)),
        (_, Some(query)) if found.names_sharded || found.is_opaque => Ok(Place::All(query)),
        (_, Some(_)) if found.names_reference && found.unknown.is_empty() => Ok(Place::Any),
        (_, Some(_)) => Ok(Place::PerShard),
        (_, None) if !writes(statement) => Ok(Place::PerShard),
        (keys, None) => {
            check_changes_rows("", Some(statement))?;
            keys.filter(|_| is_understood(&found)).map(Place::Keys).ok_or_else(no_key)
        }
    }
}

/// Whether it is known what a statement reads: no view, and nothing that the analysis does not know.
fn is_understood(found: &Found) -> bool {
    !found.is_opaque && found.unknown.iter().all(|name| is_system(name))
}

/// Fails unless a statement that writes is about this key: the rows that an INSERT computes are judged by the guard.
fn check_is_about(tables: &Tables, statement: Option<&Statement>, key: &str) -> Result<()> {
    let Some(statement) = statement else {
        return Err(Error::new(Kind::Usage, "the statement writes, and could not be parsed here")
            .hint("psql runs it on one shard"));
    };
    let found = analysed(tables, statement, &BTreeSet::new());
    match &found.keys {
        Some(keys) if *keys == [key] && is_understood(&found) => Ok(()),
        Some(keys) if is_understood(&found) => {
            let message =
                format!("the statement writes rows of the key `{}`, and not of `{key}`", keys.join("`, `"));
            Err(Error::new(Kind::Usage, message).hint("leave out --key"))
        }
        None if matches!(statement, Statement::Insert(_))
            && found.names_sharded
            && found.unknown.is_empty() =>
        {
            Ok(())
        }
        _ => Err(no_key()),
    }
}

/// For a write that may be about any shard.
fn no_key() -> Error {
    Error::new(Kind::Usage, "the statement writes, and names no sharding key that is a constant")
        .hint("name the key in it, as in WHERE user_id = 42; --key KEY says it for an INSERT; --all-shards runs it on all shards")
}

/// Whether the text of a statement may change something.
pub fn may_write(text: &str) -> bool {
    sql::parse(text).map_or_else(|_| !begins_as_query(text), |statement| writes(&statement))
}

fn analysed(tables: &Tables, statement: &Statement, aggregates: &BTreeSet<String>) -> Found {
    match sql::query_of(statement) {
        Some(query) => analyse(tables, aggregates, query),
        None => sql::writes::analyse(tables, statement),
    }
}

/// The text of a key on the command line.
fn canonical(tables: &Tables, key: &str) -> Result<String> {
    let mut types: Vec<_> = tables.sharded().map(|(_, key)| key.of).collect();
    types.dedup();
    match types.as_slice() {
        [of] => of
            .canonical(key)
            .map_err(|why| Error::new(Kind::Usage, format!("invalid value for '--key <KEY>': {why}"))),
        _ => Ok(key.to_owned()),
    }
}

/// A statement that only Postgres may know.
fn unparsed(cluster: &Cluster, request: &Request<'_>, why: &Reason) -> Result<Answer> {
    // If it is wrong, Postgres says so better.
    let names = cluster.shards().names();
    per_shard(cluster, request, &names[..1.min(names.len())])?;
    Err(Error::new(Kind::Usage, format!("it is not known where the statement belongs: {why}"))
        .hint("add --key KEY for the shard of one key, or --per-shard to see the answer of each shard"))
}

/// Each of these shards answers by itself.
fn per_shard(cluster: &Cluster, request: &Request<'_>, shards: &[ShardName]) -> Result<Answer> {
    let answers = scan::run_statement(cluster, request.sql, shards, request.allow_partial)?;
    let rows = answers.rows.map(|row| row.map(|(shard, cells)| (Some(shard), cells)));
    Ok(Answer {
        columns: answers.columns,
        is_per_shard: true,
        rows: Box::new(rows),
        missing: answers.missing,
        done: None,
    })
}
