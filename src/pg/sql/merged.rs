//! A query that is asked of all shards: each computes a part, and one of them the rest, from a temporary table of the parts.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use postgres::SimpleQueryMessage;
use postgres::error::SqlState;
use postgres::types::Type;
use sqlparser::ast::{Query, Statement, Visit, VisitMut};

use super::answer::{Answer, Request, functions_in, steps};
use super::gather::{Gather, Needed, gathered_name};
use super::parts::{Rows, TEXT, of_shard, spooled};
use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::model::report::Cell;
use crate::model::sql;
use crate::model::sql::calls::{InnerAggregates, aggregates_are_qualified};
use crate::model::sql::locality::{Found, analyse};
use crate::model::sql::merge::{self, Input, Merge, Postgres, Split, TABLE};
use crate::model::table::Tables;
use crate::pg::cluster::Cluster;
use crate::pg::net::session::{self, Session};
use crate::pg::net::sqlstate;
use crate::pg::pool::read_routing::ReadIntent;
use crate::pg::scan::snapshot::{self, ShardSnapshot, Snapshot};
use crate::pg::scan::sql::{
    DEALLOCATE, StatementColumn, columns_of, for_each_row, refused, run_on_each, types_of,
};
use crate::threads;

/// How many rows of the result may wait.
const ROWS_WAITING: usize = 1_000;

/// The functions of these names that look at several rows.
const AGGREGATES: &str = "SELECT DISTINCT proname::text FROM pg_catalog.pg_proc WHERE prokind IN ('a', 'w') AND proname = ANY ($1)";

/// What is known of a query on an open snapshot.
struct Prepared {
    snapshot: Snapshot,
    found: Found,
    aggregates: BTreeSet<String>,
    tables: Tables,
    columns: Vec<StatementColumn>,
    /// Of the columns.
    types: Vec<Type>,
}

/// Runs a query on all shards.
pub(super) fn run(cluster: &Cluster, request: &Request<'_>, query: &Query) -> Result<Answer> {
    let prepared = prepare(cluster, request, query)?;
    if !prepared.found.reasons.is_empty() {
        return gathered(cluster, request, query, prepared);
    }
    match split(&prepared, query, false) {
        Ok(Split::Concatenate) => concatenated(query, prepared),
        Ok(Split::Merge(merge)) => merged(cluster, query, prepared, &merge),
        Err(why) => {
            let mut prepared = prepared;
            prepared.found.reasons.push(why.0);
            gathered(cluster, request, query, prepared)
        }
    }
}

/// The plans of the shards for their parts, and what is computed from them.
pub(super) fn explain(
    cluster: &Cluster,
    request: &Request<'_>,
    statement: &Statement,
    query: &Query,
) -> Result<Answer> {
    let prepared = prepare(cluster, &Request { sql: &query.to_string(), ..request.clone() }, query)?;
    let reasons = &prepared.found.reasons;
    let split = match reasons.as_slice() {
        [] => split(&prepared, query, false).map_err(|why| why.0),
        reasons => Err(reasons.join("; ")),
    };
    let every = || "-".to_owned();
    let route = match &split {
        Ok(_) => "all shards: the statement names no single key".to_owned(),
        Err(why) => format!("refused, or with --gather ROWS: {why}"),
    };
    let mut rows = vec![["route".to_owned(), every(), route]];
    let (part, rest) = match &split {
        Ok(Split::Concatenate) => (query, "the rows of one shard behind those of another".to_owned()),
        Ok(Split::Merge(merge)) => {
            let kinds = kinds(&prepared.snapshot.parts[0], &merge.part)?;
            (
                &merge.part,
                merge
                    .rest(&kinds)
                    .unwrap_or_else(|| "the statement, from the columns that it needs".to_owned()),
            )
        }
        Err(_) => return Ok(steps(rows)),
    };
    for shard in &prepared.snapshot.parts {
        let mut explained = statement.clone();
        if let Statement::Explain { statement, .. } = &mut explained
            && let Ok(part) = sql::parse(&of_shard(part, &prepared.tables, shard)?)
        {
            **statement = part;
        }
        let text = explained.to_string();
        let answer = shard.begin(move |transaction| transaction.simple_query(&text));
        for message in answer.answer().map_err(|cause| refused(&shard.shard, &cause))? {
            if let SimpleQueryMessage::Row(row) = message {
                rows.push([
                    "part".to_owned(),
                    shard.shard.to_string(),
                    row.get(0).unwrap_or_default().to_owned(),
                ]);
            }
        }
    }
    rows.push(["merge".to_owned(), prepared.snapshot.parts[0].shard.to_string(), rest]);
    Ok(steps(rows))
}

/// Opens the snapshots, and lets Postgres read the whole statement.
fn prepare(cluster: &Cluster, request: &Request<'_>, query: &Query) -> Result<Prepared> {
    let snapshot = snapshot::open(cluster, ReadIntent::AllowReplica, request.allow_partial)?;
    let tables = cluster.view().topology.tables().clone();
    let (first, names) = (&snapshot.parts[0], functions_in(query));
    let (text, is_pooled) =
        (request.sql.trim_end_matches(|c: char| c == ';' || c.is_whitespace()).to_owned(), first.is_pooled);
    let answer = first.begin(move |transaction| {
        let aggregates: BTreeSet<String> = if names.is_empty() {
            BTreeSet::new()
        } else {
            transaction
                .query_typed(AGGREGATES, &[(&names, Type::TEXT_ARRAY)])?
                .iter()
                .map(|row| row.get(0))
                .collect()
        };
        let statement = session::prepare(transaction, is_pooled, &text, &[])?;
        transaction.batch_execute(TEXT)?;
        Ok((aggregates, columns_of(&statement), types_of(&statement)))
    });
    let (aggregates, columns, types) = answer.answer().map_err(|cause| refused(&first.shard, &cause))?;
    for part in &snapshot.parts[1..] {
        part.run(|transaction| drop(transaction.batch_execute(TEXT)));
    }
    if columns.is_empty() {
        return Err(Error::new(Kind::Usage, "the statement returns no rows")
            .hint("ringshard sql \"SELECT count(*) FROM users\""));
    }
    let mut found = analyse(&tables, &aggregates, query);
    // An aggregate in a query inside belongs to this one if its columns do: Postgres says whether that query stands alone.
    let mut inner = InnerAggregates::of(aggregates.clone());
    let _ = Visit::visit(query, &mut inner);
    let mut probe = Probe(first);
    let is_own = |inner: &Query, probe: &mut Probe<'_>| {
        let with = inner.with.clone().or_else(|| query.with.clone());
        let alone = Query { with, ..inner.clone() };
        inner.to_string().contains(" FROM ")
            && (probe.is_column(&alone.to_string()) || aggregates_are_qualified(inner, &aggregates))
    };
    if inner.found.iter().any(|query| !is_own(query, &mut probe)) {
        found.reasons.push("an aggregate in a subquery may be one of the query around it".into());
    }
    Ok(Prepared { snapshot, found, aggregates, tables, columns, types })
}

/// Asks a shard whether a name is a column.
struct Probe<'a>(&'a ShardSnapshot);

impl Postgres for Probe<'_> {
    fn is_column(&mut self, probe: &str) -> bool {
        let (sql, is_pooled) = (probe.to_owned(), self.0.is_pooled);
        let asked = self.0.begin(move |transaction| {
            let mut attempt = transaction.transaction()?;
            let is_column = session::prepare(&mut attempt, is_pooled, &sql, &[]).is_ok();
            attempt.rollback()?;
            Ok(is_column)
        });
        asked.answer().unwrap_or(false)
    }
}

fn split(prepared: &Prepared, query: &Query, by_columns: bool) -> Result<Split, sql::Reason> {
    let names: Vec<String> = prepared.columns.iter().map(|column| column.name.clone()).collect();
    let input =
        Input { query, facts: &prepared.found.facts, names: &names, aggregates: &prepared.aggregates };
    merge::split(&input, by_columns, &mut Probe(&prepared.snapshot.parts[0]))
}

/// The rows of all shards, one shard behind the other.
fn concatenated(query: &Query, prepared: Prepared) -> Result<Answer> {
    let Prepared { snapshot, tables, .. } = prepared;
    let texts = texts(query, &tables, &snapshot.parts)?;
    let (columns, streams) = run_on_each(snapshot.parts.into_iter().zip(texts).collect())?;
    let rows = crate::pg::scan::sql::Rows::of(streams).map(|row| row.map(|(_, cells)| (None, cells)));
    Ok(Answer { columns, is_per_shard: false, rows: Box::new(rows), missing: snapshot.missing, done: None })
}

/// A query as each shard computes it.
fn texts(query: &Query, tables: &Tables, parts: &[ShardSnapshot]) -> Result<Vec<String>> {
    parts.iter().map(|part| of_shard(query, tables, part)).collect()
}

/// A temporary table, and what fills it.
struct Table {
    create: String,
    name: String,
    rows: Chunks,
}

/// Rows in the text format of COPY, in pieces.
type Chunks = Box<dyn Iterator<Item = Result<Vec<u8>>> + Send>;

fn merged(cluster: &Cluster, query: &Query, prepared: Prepared, merge: &Merge) -> Result<Answer> {
    let first = &prepared.snapshot.parts[0];
    let by_columns;
    let (merge, rest) = if let Some(rest) = merge.rest(&kinds(first, &merge.part)?) {
        (merge, rest)
    } else {
        // A type whose average is not known here.
        let Ok(Split::Merge(other)) = split(&prepared, query, true) else {
            return Err(Error::new(Kind::Usage, "the statement cannot be split").hint("add --gather ROWS"));
        };
        by_columns = other;
        let rest = by_columns.rest(&[]).unwrap_or_default();
        (&*by_columns, rest)
    };
    let texts = texts(&merge.part, &prepared.tables, &prepared.snapshot.parts)?;
    let table = Table {
        create: format!(
            "CREATE TEMPORARY TABLE {TABLE} ({}) ON COMMIT DROP AS {} WITH NO DATA",
            merge.columns.join(", "),
            merge.part
        ),
        name: TABLE.to_owned(),
        rows: Box::new(Rows::of(&prepared.snapshot.parts, texts)),
    };
    finish(cluster, prepared, vec![table], None, rest)
}

/// The kinds of the columns of a part.
fn kinds(shard: &ShardSnapshot, part: &Query) -> Result<Vec<merge::Kind>> {
    let (sql, is_pooled) = (part.to_string(), shard.is_pooled);
    let prepared = shard.begin(move |transaction| session::prepare(transaction, is_pooled, &sql, &[]));
    let statement = prepared.answer().map_err(|cause| refused(&shard.shard, &cause))?;
    Ok(statement.columns().iter().map(|column| kind_of(column.type_())).collect())
}

fn kind_of(of: &Type) -> merge::Kind {
    match *of {
        Type::INT8 => merge::Kind::Bigint,
        Type::NUMERIC => merge::Kind::Numeric,
        Type::FLOAT8 | Type::INTERVAL => merge::Kind::Divisible,
        _ => merge::Kind::Other,
    }
}

/// Fills temporary tables on the first shard with at most so many rows, and computes the rest there.
fn finish(
    cluster: &Cluster,
    prepared: Prepared,
    tables: Vec<Table>,
    rows_max: Option<u64>,
    rest: String,
) -> Result<Answer> {
    let Prepared { snapshot, columns, types, .. } = prepared;
    let Snapshot { parts, missing, .. } = snapshot;
    let shard = parts[0].shard.clone();
    let is_pooled = parts.iter().any(|part| part.is_pooled);
    for part in parts.iter().filter(|part| part.is_pooled) {
        part.spoils.store(true, Ordering::Relaxed);
        part.run(|transaction| drop(transaction.batch_execute(DEALLOCATE)));
    }
    let mut tables = tables;
    for table in tables.iter_mut().filter(|_| is_pooled) {
        let rows = std::mem::replace(&mut table.rows, Box::new(std::iter::empty()));
        table.rows = Box::new(spooled(rows)?);
    }
    // A pooler may have one connection for each shard.
    drop(parts);
    let session = cluster.shards().connect_unpooled(&shard)?;
    let (sender, receiver) = sync_channel(ROWS_WAITING);
    let work = Work { shard: shard.clone(), tables, rows_max, rest, types };
    threads::start(move || {
        let mut session = session;
        let computed = work.compute(&mut session, &sender);
        // An empty row is the end.
        let _ = sender.send(computed.map(|()| Vec::new()));
    })
    .map_err(|error| error.on_shard(&shard))?;
    let mut rows = Ended { rows: receiver, shard, is_over: false }.peekable();
    // What fails, fails mostly before the first row.
    if let Some(Err(error)) = rows.next_if(Result::is_err) {
        return Err(error);
    }
    let rows = rows.map(|row| row.map(|cells| (None, cells)));
    Ok(Answer { columns, is_per_shard: false, rows: Box::new(rows), missing, done: None })
}

/// Rows up to the empty one.
struct Ended {
    rows: Receiver<Result<Vec<Cell>>>,
    shard: ShardName,
    is_over: bool,
}

impl Iterator for Ended {
    type Item = Result<Vec<Cell>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let row = self.rows.recv().unwrap_or_else(|_| Err(crate::pg::scan::list::cut_off(&self.shard)));
        self.is_over = row.as_ref().map_or(true, Vec::is_empty);
        row.map(|cells| (!cells.is_empty()).then_some(cells)).transpose()
    }
}

/// What one shard computes.
struct Work {
    shard: ShardName,
    tables: Vec<Table>,
    rows_max: Option<u64>,
    rest: String,
    /// Of the columns of the result.
    types: Vec<Type>,
}

impl Work {
    fn compute(self, session: &mut Session, out: &SyncSender<Result<Vec<Cell>>>) -> Result<()> {
        let Self { shard, tables, rows_max, rest, types } = self;
        let failed = |cause: postgres::Error| refused(&shard, &cause);
        let creates: Vec<&str> = tables.iter().map(|table| table.create.as_str()).collect();
        let creates = creates.join("; ");
        log::debug!("Executing in shard {shard}: {creates}");
        // From then on it only reads.
        let begin = format!(
            "BEGIN READ WRITE; SET LOCAL row_security = off; {TEXT}; {creates}; SET TRANSACTION READ ONLY"
        );
        session.client().batch_execute(&begin).map_err(|cause| {
            let error = failed_to_create(&cause);
            error.map_or_else(|| refused(&shard, &cause), |error| error.on_shard(&shard))
        })?;
        let mut count = 0;
        for Table { name, rows, .. } in tables {
            let mut writer = session.client().copy_in(&format!("COPY {name} FROM STDIN")).map_err(failed)?;
            for chunk in rows {
                let chunk = chunk?;
                count += u64::try_from(memchr::memchr_iter(b'\n', &chunk).count()).unwrap_or(u64::MAX);
                if let Some(most) = rows_max.filter(|most| count > *most) {
                    let message = format!("the statement needs more than {most} rows on one shard");
                    let more = most.saturating_mul(10);
                    return Err(Error::new(Kind::Usage, message).hint(format!("--gather {more} allows more")));
                }
                writer.write_all(&chunk).map_err(|cause| {
                    Error::new(Kind::Failed, format!("cannot copy the parts to shard `{shard}`: {cause}"))
                        .hint("run this again")
                        .on_shard(&shard)
                })?;
            }
            writer.finish().map_err(failed)?;
        }
        log::debug!("Executing in shard {shard}: {rest}");
        for_each_row(session.client(), &types, &rest, &mut |row| out.send(Ok(row)).is_ok())
            .map_err(|ending| ending.error(&shard))?;
        session.client().batch_execute("ROLLBACK").map_err(failed)
    }
}

/// For a role that may not make temporary tables.
fn failed_to_create(cause: &postgres::Error) -> Option<Error> {
    (cause.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE)).then(|| {
        Error::new(Kind::Permission, format!("cannot merge the parts: {}", sqlstate::message_of(cause)))
            .hint("they are merged in a temporary table: GRANT TEMPORARY ON DATABASE, or add --per-shard")
    })
}

/// A statement that cannot be split: the columns of its tables that it names are copied to one shard, if that is allowed.
fn gathered(cluster: &Cluster, request: &Request<'_>, query: &Query, prepared: Prepared) -> Result<Answer> {
    let reasons = prepared.found.reasons.join("; ");
    let Some(rows_max) = request.gather else {
        return Err(Error::new(Kind::Usage, format!("the statement cannot be split over the shards: {reasons}"))
            .hint("--gather ROWS copies the rows that it needs to one shard first, at most so many; --per-shard shows the answer of each shard"));
    };
    if !prepared.found.unknown.is_empty() || prepared.found.is_opaque {
        return Err(Error::new(Kind::Usage, format!("the statement cannot be gathered: {reasons}"))
            .hint("add --per-shard"));
    }
    let mut query = query.clone();
    let needed = Needed::of(&query);
    let mut gather = Gather {
        tables: &prepared.tables,
        ctes: sql::cte_names(&query),
        found: Vec::new(),
        aliases: BTreeSet::new(),
    };
    let _ = VisitMut::visit(&mut query, &mut gather);
    let Gather { found, aliases, .. } = gather;
    let mut copies = Vec::new();
    for (number, table) in found.iter().enumerate() {
        let parts = &prepared.snapshot.parts;
        let columns =
            if needed.is_whole(&aliases) { "*".into() } else { needed.columns_of(&parts[0], table)? };
        let select = format!("SELECT {columns} FROM {table}");
        let parsed = sql::parse(&select);
        let part = parsed.as_ref().ok().and_then(sql::query_of).ok_or_else(|| {
            Error::new(Kind::Usage, format!("table {table} cannot be gathered")).hint("add --per-shard")
        })?;
        let name = gathered_name(number);
        copies.push(Table {
            create: format!("CREATE TEMPORARY TABLE {name} ON COMMIT DROP AS {select} WITH NO DATA"),
            rows: Box::new(Rows::of(parts, texts(part, &prepared.tables, parts)?)),
            name,
        });
    }
    finish(cluster, prepared, copies, Some(rows_max), query.to_string())
}
