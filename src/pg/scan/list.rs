//! Scatter reads: reads all shards in parallel, each in its snapshot, and merges the rows by `user_id` as a stream.
//!
//! One thread for each shard reads rows and packs them into batches; only a few batches are in memory at a time. The caller
//! defines the batch: this module knows no format.

use crate::pg::scan::snapshot;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

use postgres::types::{FromSql, ToSql, Type};
use postgres::{Row, Statement, Transaction};

use super::snapshot::{Missing, Pending, ShardSnapshot};
use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::model::ring::coverage::Coverage;
use crate::model::ring::position::Position;
use crate::model::user::{User, UserBytes, UserId};
use crate::pg::cluster::Cluster;
use crate::pg::net::session::{self, OneLine};
use crate::pg::net::sqlstate;
use crate::pg::pool::read_routing::ReadIntent;

/// How many batches of a shard may wait for the merge.
const BATCHES_WAITING: usize = 8;
/// How many rows one fetch returns: each fetch wakes the client, and so would each row without it.
const ROWS_PER_FETCH: i32 = 4_000;
/// How many users a batch of [`list_users`] has.
const USERS_PER_BATCH: usize = 500;

/// Which users to read.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only users of this region.
    pub region: Option<String>,
    /// Only users with a greater id.
    pub after: Option<UserId>,
    /// At most this many, with the smallest ids.
    pub limit: Option<u64>,
}

/// The number of rows of one region, or without a region.
pub type RegionCount = (Option<String>, i64);

/// The counts of users by shard.
#[derive(Debug)]
pub struct Counted {
    /// The counts of each shard, sorted by shard; one entry without a region unless regions were requested.
    pub by_shard: Vec<(ShardName, Vec<RegionCount>)>,
    /// The shards that are not counted.
    pub missing: Missing,
}

/// A batch of rows. Ids come in order.
pub trait RowBatcher: Send + 'static {
    /// Adds a user.
    fn push(&mut self, user: UserBytes<'_>);
    /// Whether the batch is full.
    fn is_full(&self) -> bool;
    /// The ids, one for each user.
    fn ids(&self) -> &[UserId];
    /// The first user with a text that is not UTF-8. Called once for a batch, as one check of a long text is cheap.
    fn not_utf8(&self) -> Option<UserId>;
    /// Empties the batch for reuse.
    fn clear(&mut self);
}

/// Counts users in snapshots that tile the ring: exact even while chunks move.
pub fn count(
    cluster: &Cluster,
    by_region: bool,
    region: Option<&str>,
    allow_partial: bool,
) -> Result<Counted> {
    let snapshot = snapshot::open(cluster, ReadIntent::AllowReplica, allow_partial)?;
    let counts: Vec<_> =
        snapshot.parts.iter().map(|part| (&part.shard, count_part(part, by_region, region))).collect();
    let by_shard: Result<Vec<_>> = counts
        .into_iter()
        .map(|(shard, counts)| Ok((shard.clone(), counts.wait("count users", shard)?)))
        .collect();
    Ok(Counted { by_shard: by_shard?, missing: snapshot.missing })
}

/// All matching users by id, and what is missing.
pub fn list_users(cluster: &Cluster, filter: &Filter, allow_partial: bool) -> Result<(UserStream, Missing)> {
    let (merged, missing) = scatter(cluster, filter, allow_partial, Users::default)?;
    Ok((UserStream { merged, left: filter.limit }, missing))
}

/// As [`list_users`], packed into batches that `new` makes.
pub fn scatter<B: RowBatcher>(
    cluster: &Cluster,
    filter: &Filter,
    allow_partial: bool,
    new: impl Fn() -> B + Clone + Send + 'static,
) -> Result<(Merged<B>, Missing)> {
    let snapshot = snapshot::open(cluster, ReadIntent::AllowReplica, allow_partial)?;
    let mut sources = Vec::new();
    for part in snapshot.parts {
        let shard = part.shard.clone();
        let (sender, receiver) = sync_channel(BATCHES_WAITING);
        let (spent, to_reuse) = channel();
        let out = Sink { sender, to_reuse };
        let (filter, new) = (filter.clone(), new.clone());
        let (of_shard, excluded, is_pooled) = (part.shard.clone(), part.excluded(), part.is_pooled);
        part.run(move |transaction| {
            let query = ListQuery::new(&filter, excluded);
            if let Err(error) = send_rows(transaction, is_pooled, &of_shard, &query, new, &out) {
                let _ = out.sender.send(Err(error));
            }
        });
        sources.push(Source { shard, receiver, spent, batch: None, at: 0 });
    }
    Ok((Merged::new(sources, snapshot.coverage)?, snapshot.missing))
}

/// The statement that counts one shard. `$1` is the region, if there is one.
pub(crate) fn count_sql(by_region: bool, of_region: bool, excluded: &str) -> String {
    let (column, group) =
        if by_region { ("users.region::text", " GROUP BY users.region") } else { ("NULL::text", "") };
    let of_region = if of_region { " AND users.region = $1" } else { "" };
    format!("SELECT {column}, count(*) FROM public.users WHERE true{of_region}{excluded}{group}")
}

/// The statement that reads one shard's users in order, with its parameters.
pub(crate) struct ListQuery {
    pub(crate) sql: String,
    values: Vec<Box<dyn ToSql + Sync>>,
    types: Vec<Type>,
}

impl ListQuery {
    /// For the matching users. `excluded` is another condition, or empty.
    pub(crate) fn new(filter: &Filter, excluded: &str) -> Self {
        let (mut conditions, mut limit) = (String::new(), String::new());
        let mut values: Vec<Box<dyn ToSql + Sync>> = Vec::new();
        let mut types = Vec::new();
        let mut number = |value: Box<dyn ToSql + Sync>, of: Type| {
            values.push(value);
            types.push(of);
            format!("${}", types.len())
        };
        if let Some(after) = filter.after {
            conditions += " AND user_id > ";
            conditions += &number(Box::new(after.number()), Type::INT8);
        }
        if let Some(region) = &filter.region {
            conditions += " AND region = ";
            conditions += &number(Box::new(region.clone()), Type::TEXT);
        }
        if let Some(rows) = filter.limit {
            let rows = i64::try_from(rows).unwrap_or(i64::MAX);
            limit = format!(" LIMIT {}", number(Box::new(rows), Type::INT8));
        }
        let sql = format!(
            "SELECT user_id, name, region, email FROM public.users WHERE true{conditions}{excluded} ORDER BY user_id{limit}"
        );
        Self { sql, values, types }
    }
}

fn count_part(part: &ShardSnapshot, by_region: bool, region: Option<&str>) -> Pending<Vec<RegionCount>> {
    let sql = count_sql(by_region, region.is_some(), part.excluded());
    log::debug!("Executing in shard {}: {}", part.shard, OneLine(&sql));
    let region = region.map(ToOwned::to_owned);
    part.begin(move |transaction| {
        let parameters: &[(&(dyn ToSql + Sync), Type)] = &[(&region, Type::TEXT)];
        let rows = transaction.query_typed(&sql, if region.is_some() { parameters } else { &[] })?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    })
}

/// Reads one shard's users in order and sends them, until there are no more or the receiver is dropped.
fn send_rows<B: RowBatcher>(
    transaction: &mut Transaction<'_>,
    is_pooled: bool,
    shard: &ShardName,
    query: &ListQuery,
    new: impl Fn() -> B,
    out: &Sink<B>,
) -> Result<()> {
    let ListQuery { sql, values, types } = query;
    log::debug!("Executing in shard {shard}: {}", OneLine(sql));
    let fail = |cause: postgres::Error| sqlstate::doing("read users", shard, &cause);
    let statement = session::prepare(transaction, is_pooled, sql, types).map_err(fail)?;
    check_columns(&statement, shard)?;
    let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(AsRef::as_ref).collect();
    let portal = transaction.bind(&statement, &values).map_err(fail)?;
    let mut batch = new();
    loop {
        let rows = transaction.query_portal(&portal, ROWS_PER_FETCH).map_err(fail)?;
        for row in &rows {
            batch.push(user_of(row).map_err(fail)?);
            if batch.is_full() {
                let next = out.to_reuse.try_recv().map_or_else(|_| new(), emptied);
                if !out.send(std::mem::replace(&mut batch, next), shard)? {
                    return Ok(());
                }
            }
        }
        if rows.len() < usize::try_from(ROWS_PER_FETCH).unwrap_or(usize::MAX) {
            break;
        }
    }
    if batch.ids().is_empty() || out.send(batch, shard)? {
        // The end.
        out.send(new(), shard)?;
    }
    Ok(())
}

/// The channels of batches to the merge, and of used ones back.
struct Sink<B> {
    sender: SyncSender<Result<B>>,
    /// Batches are reused by the thread that allocated them; if the merge freed them, both threads would contend for the
    /// allocator's lock.
    to_reuse: Receiver<B>,
}

impl<B: RowBatcher> Sink<B> {
    /// Sends a batch; returns whether the receiver still exists.
    fn send(&self, batch: B, shard: &ShardName) -> Result<bool> {
        if let Some(id) = batch.not_utf8() {
            let message = format!("user {id} on shard `{shard}` has a text that is not UTF-8");
            let hint = format!(
                "ringshard sql with `WHERE user_id = {id}` shows the row; ringshard update-user {id} corrects it"
            );
            return Err(Error::new(Kind::Failed, message).hint(hint).on_shard(shard));
        }
        Ok(self.sender.send(Ok(batch)).is_ok())
    }
}

fn emptied<B: RowBatcher>(mut batch: B) -> B {
    batch.clear();
    batch
}

/// The error for an incomplete answer.
pub(crate) fn cut_off(shard: &ShardName) -> Error {
    Error::new(Kind::Failed, format!("the answer of shard `{shard}` is incomplete"))
        .hint("run this again")
        .on_shard(shard)
}

/// The bytes of a value of any type; [`check_columns`] checks the types once for all rows.
pub(crate) struct RawValue<'a>(pub(crate) &'a [u8]);

impl<'a> FromSql<'a> for RawValue<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(raw))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// Fails if the columns are not an id and texts.
fn check_columns(statement: &Statement, shard: &ShardName) -> Result<()> {
    for (at, column) in statement.columns().iter().enumerate() {
        let is_expected = if at == 0 {
            <i64 as FromSql<'_>>::accepts(column.type_())
        } else {
            <&str as FromSql<'_>>::accepts(column.type_())
        };
        if !is_expected {
            let message = format!(
                "column `{}` on shard `{shard}` has the unexpected type `{}`",
                column.name(),
                column.type_()
            );
            return Err(Error::new(Kind::Failed, message)
                .hint("ringshard doctor shows which type it should have")
                .on_shard(shard));
        }
    }
    Ok(())
}

fn user_of(row: &Row) -> Result<UserBytes<'_>, postgres::Error> {
    let text = |at| Ok(row.try_get::<_, Option<RawValue<'_>>>(at)?.map(|RawValue(bytes)| bytes));
    let id = row.try_get(0)?;
    Ok(UserBytes { user_id: UserId::new(id), name: text(1)?, region: text(2)?, email: text(3)? })
}

/// One shard's batches, and the position of the merge in them.
struct Source<B> {
    shard: ShardName,
    receiver: Receiver<Result<B>>,
    /// Used batches, on their way back.
    spent: Sender<B>,
    batch: Option<B>,
    at: usize,
}

impl<B: RowBatcher> Source<B> {
    /// Advances to the next user; returns its id, if there is one.
    fn advance(&mut self) -> Result<Option<UserId>> {
        self.at += 1;
        if let Some(id) = self.batch.as_ref().and_then(|batch| batch.ids().get(self.at)) {
            return Ok(Some(*id));
        }
        self.at = 0;
        // An empty batch is the end. A closed channel without it is an incomplete answer.
        let batch = self.receiver.recv().map_err(|_| cut_off(&self.shard))??;
        let first = batch.ids().first().copied();
        if let Some(spent) = self.batch.replace(batch) {
            let _ = self.spent.send(spent);
        }
        Ok(first)
    }
}

/// The merged users of all shards by id, as indexes into batches.
pub struct Merged<B> {
    sources: Vec<Source<B>>,
    heap: BinaryHeap<Reverse<(UserId, usize)>>,
    coverage: Coverage,
    /// The source of the last returned user, which must advance.
    current: Option<usize>,
    last_id: Option<UserId>,
}

impl<B: RowBatcher> Merged<B> {
    fn new(sources: Vec<Source<B>>, coverage: Coverage) -> Result<Self> {
        let mut merged = Self { sources, heap: BinaryHeap::new(), coverage, current: None, last_id: None };
        for source in 0..merged.sources.len() {
            let first = merged.advance(source)?;
            merged.heap.extend(first);
        }
        Ok(merged)
    }

    fn advance(&mut self, source: usize) -> Result<Option<Reverse<(UserId, usize)>>> {
        Ok(self.sources[source].advance()?.map(|id| Reverse((id, source))))
    }

    /// The smallest of `candidate`, which is not in the heap, and the heap, which keeps the others.
    fn least(&mut self, candidate: Option<Reverse<(UserId, usize)>>) -> Option<(UserId, usize)> {
        let Some(mut candidate) = candidate else { return self.heap.pop().map(|Reverse(least)| least) };
        if let Some(mut top) = self.heap.peek_mut().filter(|top| candidate < **top) {
            // Instead of a push and a pop.
            std::mem::swap(&mut *top, &mut candidate);
        }
        Some(candidate.0)
    }

    /// The next user: its batch, and the index in it.
    pub fn next_user(&mut self) -> Result<Option<(&mut B, usize)>> {
        let mut candidate = match self.current.take() {
            Some(source) => self.advance(source)?,
            None => None,
        };
        while let Some((id, source)) = self.least(candidate) {
            if self.last_id != Some(id) && self.counts(id, source) {
                self.last_id = Some(id);
                self.current = Some(source);
                let Source { batch, at, .. } = &mut self.sources[source];
                return Ok(batch.as_mut().map(|batch| (batch, *at)));
            }
            log::warn!("User {id} is on more than one shard; left out on {}", self.sources[source].shard);
            candidate = self.advance(source)?;
        }
        Ok(None)
    }

    /// Whether a row counts: not if another shard, which serves its position, has it too.
    fn counts(&self, id: UserId, source: usize) -> bool {
        let is_duplicate = self.heap.peek().is_some_and(|Reverse((next, _))| *next == id);
        !is_duplicate
            || self
                .coverage
                .route(Position::of_user(id))
                .is_none_or(|route| route.shard == self.sources[source].shard)
    }
}

/// A batch of [`list_users`].
#[derive(Debug, Default)]
struct Users {
    ids: Vec<UserId>,
    records: Vec<Option<User>>,
    not_utf8: Option<UserId>,
}

impl RowBatcher for Users {
    fn push(&mut self, user: UserBytes<'_>) {
        self.ids.push(user.user_id);
        let text = user.to_user().ok();
        if text.is_none() && self.not_utf8.is_none() {
            self.not_utf8 = Some(user.user_id);
        }
        self.records.push(text);
    }

    fn is_full(&self) -> bool {
        self.ids.len() >= USERS_PER_BATCH
    }

    fn ids(&self) -> &[UserId] {
        &self.ids
    }

    fn not_utf8(&self) -> Option<UserId> {
        self.not_utf8
    }

    fn clear(&mut self) {
        self.ids.clear();
        self.records.clear();
        self.not_utf8 = None;
    }
}

/// Users by id, as a stream.
pub struct UserStream {
    merged: Merged<Users>,
    left: Option<u64>,
}

impl Iterator for UserStream {
    type Item = Result<User>;

    fn next(&mut self) -> Option<Result<User>> {
        if self.left == Some(0) {
            return None;
        }
        self.left = self.left.map(|left| left - 1);
        match self.merged.next_user() {
            Ok(next) => next.map(|(batch, at)| Ok(batch.records[at].take().expect("each is taken once"))),
            Err(error) => Some(Err(error)),
        }
    }
}
