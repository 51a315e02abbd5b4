//! Imports rows of any sharded table: each batch is one transaction on each shard that owns some of its rows.
//!
//! The guard of the table checks each statement, so a batch whose arc has moved meanwhile is refused as a whole, and routed again.
//! There are no checkpoints: after an interruption the batches that were committed are there.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::thread;
use std::time::{Duration, Instant};

use postgres::types::Type;
use postgres::{IsolationLevel, Transaction};

use super::OnConflict;
use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::model::ring::coverage::Coverage;
use crate::model::ring::position::Position;
use crate::model::table::Table;
use crate::pg::catalog::quoted;
use crate::pg::cluster::Cluster;
use crate::pg::net::session::{self, Session, only};
use crate::pg::net::sqlstate;
use crate::pg::pool::read_routing::ReadIntent;
use crate::pg::requests::connection::ROW_TEXT;
use crate::pg::scan::snapshot;
use crate::threads;

/// How long rows are routed again while their keys move.
const PATIENCE: Duration = Duration::from_secs(30);
/// The pause before that.
const PAUSE: Duration = Duration::from_millis(100);
/// What each transaction needs besides the settings of the text: durability, all rows, and time.
const SETTINGS: &str = "SET LOCAL row_security = off; SET LOCAL statement_timeout = 0; SET LOCAL client_min_messages = warning; \
    SELECT pg_catalog.set_config('synchronous_commit', 'on', true) \
    WHERE pg_catalog.current_setting('synchronous_commit') IN ('off', 'local')";

/// How the texts of rows are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowSource {
    /// CSV with this separator.
    Csv(char),
    /// JSON objects.
    JsonLines,
}

/// A row as it stands in a file.
#[derive(Debug, Clone)]
pub struct SourceRow {
    /// The number of its line.
    pub line: u64,
    /// Its text.
    pub text: String,
    /// The position of its sharding key.
    pub position: Position,
}

/// The import of a file into a sharded table.
pub struct RowsImport<'a> {
    cluster: &'a Cluster,
    /// The name of the file, for errors.
    file: &'a str,
    source: RowSource,
    /// The statement that stores the rows of a batch, from FROM on to be completed.
    insert: String,
    table: &'a Table,
    columns: String,
    /// Whether rows that are there are left out.
    may_skip: bool,
    /// Whether a row that is there ends the import, also if it collects rows that are refused.
    stops_at_conflict: bool,
    coverage: Option<Coverage>,
}

/// Why rows were not stored on a shard.
enum Refused {
    /// They are on the way to another shard, or the transaction may succeed another time.
    Again(Error),
    /// The shard does not take one of them.
    Row(Error),
    Failed(Error),
}

/// What became of rows.
#[derive(Default)]
struct Outcome {
    stored: u64,
    /// Those that a shard refuses, and why.
    refused: Vec<(SourceRow, Error)>,
    /// Those that must be sent again, and why.
    again: Option<(Vec<SourceRow>, Error)>,
}

/// Takes a row that a shard refuses, and why.
pub type RefusedSink<'a> = &'a mut dyn FnMut(SourceRow, Error) -> Result<()>;

impl<'a> RowsImport<'a> {
    /// `columns`: those of the file, in its order.
    pub fn new(
        cluster: &'a Cluster,
        file: &'a str,
        table: &'a Table,
        columns: &[String],
        source: RowSource,
        on_conflict: OnConflict,
    ) -> Result<Self> {
        let list =
            |columns: &[String]| columns.iter().map(|column| quoted(column)).collect::<Vec<_>>().join(", ");
        let Described { key, generated } = describe(cluster, table)?;
        // Postgres computes them again.
        let set: Vec<String> = columns.iter().filter(|column| !generated.contains(column)).cloned().collect();
        let (all, list) = (list(columns), list(&set));
        let conflict = match on_conflict {
            OnConflict::Error => String::new(),
            OnConflict::Skip => " ON CONFLICT DO NOTHING".to_owned(),
            OnConflict::Update => {
                let changed = set.iter().filter(|column| !key.contains(column)).map(|column| quoted(column));
                let changed: Vec<String> =
                    changed.map(|column| format!("{column} = excluded.{column}")).collect();
                if key.is_empty() || changed.is_empty() {
                    let message =
                        format!("the table `{}` has no primary key, or the file only that", table.name);
                    return Err(Error::new(Kind::Usage, message).hint("use --on-conflict error or skip"));
                }
                let key: Vec<String> = key.iter().map(|column| quoted(column)).collect();
                format!(" ON CONFLICT ({}) DO UPDATE SET {}", key.join(", "), changed.join(", "))
            }
        };
        let (name, mut insert) = (table.name.as_sql(), String::new());
        let _ = match source {
            RowSource::Csv(_) => write!(
                insert,
                "INSERT INTO {name} ({list}) OVERRIDING SYSTEM VALUE SELECT {list} FROM pg_temp.ringshard_rows{conflict}"
            ),
            RowSource::JsonLines => {
                let fields: Vec<String> =
                    set.iter().map(|column| format!("(r).{}", quoted(column))).collect();
                write!(
                    insert,
                    "INSERT INTO {name} ({list}) OVERRIDING SYSTEM VALUE SELECT {} \
                     FROM (SELECT pg_catalog.json_populate_record(NULL::{name}, line::json) AS r \
                           FROM pg_catalog.unnest($1::text[]) AS line OFFSET 0) AS given{conflict}",
                    fields.join(", ")
                )
            }
        };
        Ok(Self {
            cluster,
            file,
            source,
            insert,
            table,
            columns: all,
            may_skip: on_conflict == OnConflict::Skip,
            stops_at_conflict: on_conflict == OnConflict::Error,
            coverage: None,
        })
    }

    /// Stores rows; returns how many were stored. Those that a shard refuses go to `refused`; without it this fails with
    /// `BadInput`, or `Conflict` if one is there already. Fails with `Partial` once `is_stopped`.
    pub fn store(
        &mut self,
        rows: Vec<SourceRow>,
        mut refused: Option<RefusedSink<'_>>,
        is_stopped: &(dyn Fn() -> bool + Sync),
    ) -> Result<u64> {
        let collects = refused.is_some();
        let (mut left, mut stored) = (rows, 0);
        let mut waiting_since = None;
        let mut refused_rows: Vec<(SourceRow, Error)> = Vec::new();
        loop {
            let mut by_shard: BTreeMap<ShardName, Vec<SourceRow>> = BTreeMap::new();
            for row in left {
                let shard = self.route(row.position)?;
                by_shard.entry(shard).or_default().push(row);
            }
            let done = threads::at_once(by_shard, |(shard, rows)| {
                self.store_on(&shard, rows, collects.then_some(is_stopped))
            });
            left = Vec::new();
            let (mut stored_now, mut why, mut failed) = (0, None, None);
            for outcome in done {
                match outcome {
                    Err(error) => failed = Some(error),
                    Ok(outcome) => {
                        stored_now += outcome.stored;
                        refused_rows.extend(outcome.refused);
                        if let Some((rows, error)) = outcome.again {
                            left.extend(rows);
                            why = Some(error);
                        }
                    }
                }
            }
            if let Some(error) = failed {
                return Err(error);
            }
            stored += stored_now;
            if let Some(why) = why {
                if waiting_since.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
                    return Err(why);
                }
                thread::sleep(PAUSE);
                self.cluster.refresh()?;
                self.coverage = None;
            } else if stored_now > 0 && !refused_rows.is_empty() {
                // A row may refer to one that was stored after it.
                left = std::mem::take(&mut refused_rows).into_iter().map(|(row, _)| row).collect();
                waiting_since = None;
            } else {
                if let Some(sink) = &mut refused {
                    refused_rows.into_iter().try_for_each(|(row, error)| sink(row, error))?;
                }
                return Ok(stored);
            }
        }
    }

    /// The shard that serves a position.
    fn route(&mut self, position: Position) -> Result<ShardName> {
        if self.coverage.is_none() {
            self.coverage = Some(snapshot::open(self.cluster, ReadIntent::Primary, false)?.coverage);
        }
        let coverage = self.coverage.as_ref().expect("it was set above");
        coverage.route(position).map(|route| route.shard.clone()).ok_or_else(|| {
            Error::new(Kind::Failed, "no shard has the arc of a key")
                .hint("ringshard doctor shows which one lacks it")
        })
    }

    /// Stores rows on one shard. With `is_stopped` it leaves out those that the shard refuses, which are found by halves.
    fn store_on(
        &self,
        shard: &ShardName,
        mut rows: Vec<SourceRow>,
        is_stopped: Option<&(dyn Fn() -> bool + Sync)>,
    ) -> Result<Outcome> {
        let why = match self.store_all_on(shard, &rows) {
            Ok(stored) => return Ok(Outcome { stored, ..Outcome::default() }),
            Err(Refused::Failed(error)) => return Err(error),
            Err(Refused::Again(error)) => {
                return Ok(Outcome { again: Some((rows, error)), ..Outcome::default() });
            }
            Err(Refused::Row(error)) => error,
        };
        let Some(is_stopped) = is_stopped else { return Err(why) };
        if is_stopped() {
            let (file, line) = (self.file, rows.first().map_or(0, |row| row.line));
            let message = format!(
                "{file}:{line}: the import was stopped; rows before and after this line may be stored"
            );
            return Err(Error::new(Kind::Partial, message)
                .hint("run it again with --on-conflict skip, if the table has a primary key"));
        }
        if rows.len() == 1 {
            let refused = rows.into_iter().map(|row| (row, why.clone())).collect();
            return Ok(Outcome { refused, ..Outcome::default() });
        }
        let second = rows.split_off(rows.len() / 2);
        let mut outcome = self.store_on(shard, rows, Some(is_stopped))?;
        if let Some((again, _)) = &mut outcome.again {
            again.extend(second);
            return Ok(outcome);
        }
        let mut rest = self.store_on(shard, second, Some(is_stopped))?;
        rest.stored += outcome.stored;
        rest.refused.splice(0..0, outcome.refused);
        Ok(rest)
    }

    /// Stores all of these rows on one shard, or none.
    fn store_all_on(&self, shard: &ShardName, rows: &[SourceRow]) -> Result<u64, Refused> {
        let mut session = self.cluster.shards().checkout(shard).map_err(Refused::Failed)?;
        let stored =
            self.transaction(&mut session, rows).map_err(|cause| self.refused(shard, rows, &cause))?;
        stored.ok_or_else(|| {
            let (name, line) = (&self.table.name, rows.first().map_or(0, |row| row.line));
            let message = format!(
                "{}:{line}: a trigger or a rule of `{name}` on shard `{shard}` leaves out rows of this batch",
                self.file
            );
            let hint = "disable it for the import; earlier batches are stored";
            Refused::Row(Error::new(Kind::BadInput, message).hint(hint).on_shard(shard))
        })
    }

    /// Stores rows in one transaction; `None`, and nothing is stored, if fewer are there than were sent.
    fn transaction(&self, session: &mut Session, rows: &[SourceRow]) -> Result<Option<u64>, postgres::Error> {
        let is_pooled = !session.has_own_backend()?;
        let begin = session.client().build_transaction().isolation_level(IsolationLevel::ReadCommitted);
        let mut transaction = begin.start()?;
        transaction.batch_execute(ROW_TEXT)?;
        transaction.batch_execute(SETTINGS)?;
        let stored = match self.source {
            RowSource::Csv(separator) => {
                self.copy(&mut transaction, is_pooled, separator, rows)?;
                transaction.execute_typed(&self.insert, &[])?
            }
            RowSource::JsonLines => {
                let texts: Vec<&str> = rows.iter().map(|row| row.text.as_str()).collect();
                transaction.execute_typed(&self.insert, &[(&texts, Type::TEXT_ARRAY)])?
            }
        };
        if stored != rows.len() as u64 && !self.may_skip {
            return Ok(None);
        }
        transaction.commit()?;
        Ok(Some(stored))
    }

    /// Copies rows of CSV into a temporary table with the columns of the file.
    fn copy(
        &self,
        transaction: &mut Transaction<'_>,
        is_pooled: bool,
        separator: char,
        rows: &[SourceRow],
    ) -> Result<(), postgres::Error> {
        let columns = &self.columns;
        transaction.batch_execute(&format!(
            "CREATE TEMPORARY TABLE ringshard_rows ON COMMIT DROP AS SELECT {columns} FROM {} WITH NO DATA",
            self.table.name.as_sql()
        ))?;
        let copy = format!(
            "COPY pg_temp.ringshard_rows ({columns}) FROM STDIN (FORMAT csv, DELIMITER E'\\x{:02x}')",
            u32::from(separator)
        );
        let statement = session::prepare(transaction, is_pooled, &copy, &[])?;
        let mut writer = transaction.copy_in(&statement)?;
        for row in rows {
            // A failed write is reported by `finish`.
            let _ = writer.write_all(row.text.as_bytes()).and_then(|()| writer.write_all(b"\n"));
        }
        writer.finish().map(drop)
    }

    fn refused(&self, shard: &ShardName, rows: &[SourceRow], cause: &postgres::Error) -> Refused {
        let error = sqlstate::doing(&format!("store rows of `{}`", self.table.name), shard, cause);
        let code = cause.code().map_or("", |code| code.code());
        if ["RS001", "RS002"].contains(&code) || sqlstate::is_worth_repeating(cause) {
            return Refused::Again(error);
        }
        let lines = rows.first().map_or(0, |row| row.line)..=rows.last().map_or(0, |row| row.line);
        if sqlstate::is_lost(cause) {
            let hint = format!(
                "whether the rows of lines {} to {} that belong there were stored is not known; run this again with \
                 --on-conflict skip, if the table has a primary key",
                lines.start(),
                lines.end()
            );
            return Refused::Failed(error.hint(hint));
        }
        if !sqlstate::is_refusal(cause) && code != "23505" {
            return Refused::Failed(error);
        }
        let line = cause.as_db_error().and_then(|db| line_of_copy(db.where_()?));
        let line = line.and_then(|line| Some(rows.get(line.checked_sub(1)?)?.line));
        let place = match (line, lines.start() == lines.end()) {
            (Some(line), _) => line.to_string(),
            (None, true) => lines.start().to_string(),
            (None, false) => format!("{}-{}", lines.start(), lines.end()),
        };
        let message =
            format!("{}:{place}: shard `{shard}` refuses a row: {}", self.file, sqlstate::message_of(cause));
        if code == "23505" {
            let hint = "use --on-conflict skip or update for rows that are there; earlier batches are stored";
            let error = Error::new(Kind::Conflict, message).on_shard(shard).hint(hint);
            return if self.stops_at_conflict { Refused::Failed(error) } else { Refused::Row(error) };
        }
        let hint = "correct it, or collect such rows with --rejects FILE; earlier batches are stored";
        Refused::Row(Error::new(Kind::BadInput, message).on_shard(shard).hint(hint))
    }
}

/// The line in the context of an error of COPY: `COPY ringshard_rows, line 3, column total: "x"`.
fn line_of_copy(context: &str) -> Option<usize> {
    let rest = context.split_once(", line ")?.1;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// The columns of a table that an import must know of.
struct Described {
    /// Those of the primary key.
    key: Vec<String>,
    /// Those that Postgres computes.
    generated: Vec<String>,
}

fn describe(cluster: &Cluster, table: &Table) -> Result<Described> {
    let view = cluster.view();
    let shard = view.topology.names().next().expect("a topology has a shard");
    let what = "read the columns";
    let sql = "SELECT ARRAY(SELECT a.attname::text FROM pg_catalog.pg_index AS i JOIN pg_catalog.pg_attribute AS a \
                                 ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey) \
                            WHERE i.indrelid = c.oid AND i.indisprimary ORDER BY a.attnum) AS key, \
                      ARRAY(SELECT attname::text FROM pg_catalog.pg_attribute \
                            WHERE attrelid = c.oid AND attgenerated <> '' AND NOT attisdropped) AS generated \
               FROM pg_catalog.pg_class AS c WHERE c.oid = pg_catalog.to_regclass($1)";
    let mut session = cluster.shards().checkout(shard)?;
    let rows = session.query(sql, &[(&table.name.as_sql(), Type::TEXT)]);
    let row = only(rows.map_err(|cause| sqlstate::doing(what, shard, &cause))?, what, shard)?;
    Ok(Described { key: row.get("key"), generated: row.get("generated") })
}

#[cfg(test)]
mod tests {
    use super::line_of_copy;

    #[test]
    fn the_line_is_found_in_the_context() {
        assert_eq!(line_of_copy("COPY ringshard_rows, line 3, column total: \"x\""), Some(3));
        assert_eq!(line_of_copy("PL/pgSQL function f() line 3 at RAISE"), None);
    }
}
