//! `load run`: many clients at once, measured and checked.

use crate::pg::{rows, scan};
use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use clap::{Args, ValueEnum};

use super::check::check;
use super::clean::remove;
use super::client::Client;
use super::outcome::{LoadOutcome, json};
use super::run_context::{LoadPlan, RunContext};
use super::tally::{LoadRun, Tally};
use crate::commands::{Console, Context, Interrupts, Progress, state_file};
use crate::error::{Error, Kind, Result};
use crate::model::duration::parse_duration;
use crate::model::load::keys::{Choice, ExistingKeys};
use crate::model::load::mix::{LoadOperation, Mix};
use crate::model::load::random::mixed;
use crate::model::names::ShardName;
use crate::model::report::Report;
use crate::model::text::{counted, thousands};
use crate::model::user::UserId;
use crate::pg::cluster::Cluster;
use crate::pg::scan::list::Filter;
use crate::settings::value_name;
use crate::threads;

/// How often progress is shown, and the run polls whether to stop.
const STEP: Duration = Duration::from_millis(100);
/// How long the last operation of a client may take: to connect, to wait for a move, and to end a lost session.
const LAST_OPERATION: Duration = Duration::from_secs(25);
/// After how many users the progress of reading them is shown.
const PROGRESS_EVERY: usize = 10_000;

/// How keys are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Keys {
    /// Each user is equally likely
    Uniform,
    /// A few users are used most, those with the lowest ids
    Zipf,
    /// One user after the other
    Sequential,
}

/// Ids from one to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IdRange {
    pub(crate) first: UserId,
    pub(crate) last: UserId,
}

fn parse_ids(text: &str) -> std::result::Result<IdRange, String> {
    let shape = || "write it as two ids, such as `1..1000`".to_owned();
    let (first, last) = text.split_once("..").ok_or_else(shape)?;
    let id = |text: &str| text.parse::<UserId>().map_err(|_| shape());
    let range = IdRange { first: id(first)?, last: id(last)? };
    if range.last < range.first { Err("the last id is less than the first".into()) } else { Ok(range) }
}

/// The arguments of `load run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The number of clients; each runs one operation at a time
    #[arg(long, value_name = "N", default_value = "8", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) clients: u32,
    /// The length of the run, such as 500ms, 10s or 2m
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    pub(crate) duration: Duration,
    /// The weights of the operations get, create, update and delete
    #[arg(long, value_name = "MIX", default_value = "get=80,create=15,update=5")]
    pub(crate) mix: Mix,
    /// Operations per second, of all clients together; latencies then count from when an operation was due [default:
    /// no limit]
    #[arg(long, value_name = "R", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rate: Option<u32>,
    /// How the users are chosen
    #[arg(long, value_enum, value_name = "HOW", default_value = "uniform")]
    pub(crate) keys: Keys,
    /// The seed of the random choices
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Work only with these existing users; those that load did not make are only read [default: all]
    #[arg(long, value_name = "FIRST..LAST", value_parser = parse_ids, allow_hyphen_values = true)]
    pub(crate) users: Option<IdRange>,
    /// Keep the users that the run creates, in place of removing them at the end
    #[arg(long)]
    pub(crate) keep: bool,
    /// This shard has an asynchronous replica that may be promoted during the run: lost writes there count as
    /// `lost_unreplicated` and not as wrong answers; may be given more than once
    #[arg(long, value_name = "SHARD", add = clap_complete::ArgValueCompleter::new(crate::commands::complete_shard))]
    pub(crate) async_replica: Vec<ShardName>,
}

impl RunArgs {
    /// Runs the clients, checks what they wrote, and reports.
    pub fn run(&self, context: &Context<'_>) -> Result<Report> {
        context.cluster_of_users()?;
        let cluster = context.cluster_apart(self.clients + 1)?;
        let names = cluster.shards().names();
        if let Some(unknown) = self.async_replica.iter().find(|name| !names.contains(name)) {
            return Err(Error::new(Kind::NotFound, format!("there is no shard `{unknown}`"))
                .hint("ringshard shards lists the shards"));
        }
        // The cache does not hold incarnations. An error here is reported by the first operation that needs the shard.
        drop(cluster.refresh());
        let console = context.console();
        let interrupts = console.watch_interrupts();
        let existing = self.read_users(&cluster, console, &interrupts)?;
        let creates = self.mix.weight(LoadOperation::Create) > 0;
        if existing.is_empty() && !creates {
            return Err(Error::new(Kind::NotFound, "there are no users, and the mix creates none")
                .hint("ringshard load fill 100000 stores some users"));
        }
        self.announce(&existing, creates, console)?;
        let mut claim = creates.then(|| rows::reserve_ids(&cluster)).transpose()?;
        let clients =
            (0..self.clients).map(|_| context.cluster_again(&cluster)).collect::<Result<Vec<_>>>()?;
        warm_up(&clients)?;
        let begun_at = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let new_ids = claim.as_ref().map_or((0, 0), |claim| (claim.first.number(), claim.count));
        let run_context =
            Arc::new(RunContext::new(Arc::clone(&cluster), self.plan(begun_at), existing, new_ids));
        let run = work(&run_context, clients, console, &interrupts)?;
        let checked = check(&run_context, |done, all| {
            console.status((done as u64, all as u64), "checking what was written");
            !interrupts.asked()
        });
        console.progress(None);
        // After a wrong answer they are what is to be looked at.
        let is_kept = self.keep || run_context.findings().wrong > 0;
        let created = if is_kept { Vec::new() } else { run_context.created_ids() };
        // Also after Ctrl-C; another one stops this too.
        let interrupts = console.watch_interrupts();
        let removal = remove(&cluster, self.clients, &created, console, &interrupts);
        let removed = (!is_kept).then_some(removal.count);
        let outcome =
            LoadOutcome { context: &run_context, run, checked, begun_at, keys: self.keys_name(), removed };
        let mut report = outcome.report();
        match removal.failure(created.len()) {
            Some(left) if report.failure.is_some() => report.warnings.push(left),
            left => report.failure = report.failure.or(left),
        }
        if claim.as_mut().is_some_and(|claim| !claim.are_held()) {
            report.warnings.push(Error::new(
                Kind::Locked,
                "the session that reserved the ids of new users was lost: another load run may have created users with the same ids",
            ));
        }
        if let Some(run) = json(&report) {
            state_file::write(context, &cluster, "load", &run);
        }
        Ok(report)
    }

    /// Says what the run will do to the users. On a terminal, if there are some that load did not make, it asks.
    fn announce(&self, existing: &ExistingKeys, creates: bool, console: &dyn Console) -> Result<()> {
        let strangers = counted((existing.len() - existing.made()) as u64, "user");
        let end = match (creates, self.keep) {
            (false, _) => "creates none",
            (true, false) => "creates users of its own, and removes them at the end",
            (true, true) => "creates users of its own, and keeps them",
        };
        if existing.made() == existing.len() {
            if creates {
                console
                    .tell(&format!("the run {end}{}", if self.keep { "" } else { " (--keep keeps them)" }));
            }
            return Ok(());
        }
        let text = format!(
            "The cluster has {strangers} that load did not make. The run only reads these, and {end}."
        );
        if io::stdin().is_terminal() {
            return console.confirm(&format!("{text}\nContinue?"));
        }
        console.tell(&text);
        Ok(())
    }

    fn plan(&self, begun_at: Duration) -> LoadPlan {
        let nanos = u64::try_from(begun_at.as_nanos() & u128::from(u64::MAX)).unwrap_or_default();
        let run = mixed(nanos ^ (u64::from(std::process::id()) << 32));
        LoadPlan {
            clients: self.clients,
            duration: self.duration,
            mix: self.mix,
            rate: self.rate,
            choice: match self.keys {
                Keys::Uniform => Choice::Uniform,
                Keys::Zipf => Choice::Zipf,
                Keys::Sequential => Choice::Sequential,
            },
            seed: self.seed,
            run: u32::try_from(run >> 32).unwrap_or_default(),
            async_replicas: self.async_replica.clone(),
        }
    }

    pub(crate) fn keys_name(&self) -> String {
        value_name(&self.keys)
    }

    /// Reads the existing users.
    fn read_users(
        &self,
        cluster: &Cluster,
        console: &dyn Console,
        interrupts: &Interrupts,
    ) -> Result<ExistingKeys> {
        // The filter is exclusive: it starts behind the id before the first one.
        let after = self.users.and_then(|users| users.first.number().checked_sub(1)).map(UserId::new);
        let filter = Filter { after, ..Filter::default() };
        let mut existing = ExistingKeys::default();
        for user in scan::list_users(cluster, &filter, true)?.0 {
            let user = user?;
            if self.users.is_some_and(|users| user.user_id > users.last) {
                break;
            }
            existing.push(&user);
            if existing.len().is_multiple_of(PROGRESS_EVERY) {
                let at = "reading the existing users".into();
                console.progress(Some(&Progress { rows: existing.len() as u64, part: None, at }));
                if interrupts.asked() {
                    return Err(Error::new(Kind::Partial, "stopped before the run began")
                        .hint("a smaller range is read faster: ringshard load run --users 1..1000"));
                }
            }
        }
        console.progress(None);
        Ok(existing)
    }
}

/// Opens the connections of the clients, so that no operation pays for it. Fails if those of some clients can be opened and
/// those of others not, as a server or this process has room for no more. A shard that refuses all of them is down, which is
/// reported by the first operation that needs it.
fn warm_up(clients: &[Cluster]) -> Result<()> {
    let failed = threads::at_once(clients, |cluster| {
        cluster.refresh().unwrap_or_else(|error| {
            // No shard answered.
            let names = cluster.shards().names().into_iter();
            names.map(|name| (name, error.clone())).collect()
        })
    });
    // `Failed`: this process may have no more open files.
    let is_about_room = |error: &Error| [Kind::Unreachable, Kind::Failed].contains(&error.kind());
    let mut refused: BTreeMap<ShardName, (usize, Error)> = BTreeMap::new();
    for (shard, error) in failed.into_iter().flatten().filter(|(_, error)| is_about_room(error)) {
        refused.entry(shard).or_insert((0, error)).0 += 1;
    }
    let first = refused.iter().find(|(_, (count, _))| *count < clients.len());
    let Some((shard, (count, error))) = first else { return Ok(()) };
    let of_clients = format!("room for the connections of {count} of {} clients", clients.len());
    let (message, otherwise) = match error.kind() {
        Kind::Failed => {
            (format!("this process has no {of_clients}: {error}"), error.hint_text().unwrap_or_default())
        }
        _ => {
            (format!("shard `{shard}` has no {of_clients}: {error}"), "raise max_connections on that server")
        }
    };
    // Shards on one server share its room.
    let taken: usize = refused.values().map(|(count, _)| clients.len() - count).sum();
    let fewer = (taken / refused.len()).saturating_sub(1).max(1);
    Err(Error::new(error.kind(), message)
        .hint(format!("ringshard load run --clients {fewer}, or {otherwise}"))
        .on_shard(shard))
}

/// Starts the clients, shows their progress, and waits for them. Each has its own connections and its own view of the
/// ring, as separate programs have.
fn work(
    context: &Arc<RunContext>,
    clusters: Vec<Cluster>,
    console: &dyn Console,
    interrupts: &Interrupts,
) -> Result<LoadRun> {
    let (sender, ended) = channel::<()>();
    for (number, cluster) in (0..context.plan.clients).zip(clusters) {
        let (run, sender) = (Arc::clone(context), sender.clone());
        // Not joined: an operation may never be answered.
        let started = threads::start(move || {
            Client::new(run, cluster, number).work();
            let _ = sender.send(());
        });
        started.inspect_err(|_| context.halt.store(true, Ordering::Relaxed))?;
    }
    drop(sender);
    let end = context.begun + context.plan.duration;
    let mut left = context.plan.clients;
    let mut live = LiveView::new(context.begun);
    let mut was_stopped = false;
    while left > 0 && Instant::now() < end && !was_stopped {
        left -= wait(&ended);
        live.show(context, console);
        was_stopped = interrupts.asked();
    }
    context.halt.store(true, Ordering::Relaxed);
    let (elapsed, halted) = (context.begun.elapsed(), Instant::now());
    while left > 0 && halted.elapsed() < LAST_OPERATION {
        left -= wait(&ended);
    }
    let mut tally = sum(context);
    // Operations answered after the end count, and so does the time until then.
    let elapsed = elapsed.max(tally.last_at);
    tally.pad(elapsed);
    Ok(LoadRun { tally, elapsed, was_stopped, stuck: left })
}

/// Waits a little, and returns how many clients have ended.
fn wait(ended: &Receiver<()>) -> u32 {
    match ended.recv_timeout(STEP) {
        Ok(()) => 1,
        Err(RecvTimeoutError::Timeout) => 0,
        // All have ended, unless one panicked.
        Err(RecvTimeoutError::Disconnected) => {
            thread::sleep(STEP);
            0
        }
    }
}

fn sum(context: &RunContext) -> Tally {
    let mut sum = Tally::default();
    for client in 0..context.tallies.len() {
        sum.add(&context.tally(client));
    }
    sum
}

/// The status line during the run.
struct LiveView {
    begun: Instant,
    since: Instant,
    answered: u64,
    text: String,
}

impl LiveView {
    fn new(begun: Instant) -> Self {
        Self { begun, since: begun, answered: 0, text: "starting".into() }
    }

    fn show(&mut self, context: &RunContext, console: &dyn Console) {
        let seconds = self.since.elapsed().as_secs_f64();
        if seconds >= 1.0 {
            let counts = (0..context.tallies.len()).map(|client| {
                let tally = context.tally(client);
                (tally.answered, tally.failed)
            });
            let (answered, failed) = counts.fold((0, 0), |sum, next| (sum.0 + next.0, sum.1 + next.1));
            #[expect(clippy::cast_precision_loss, reason = "a rounded rate")]
            let rate = (answered - self.answered) as f64 / seconds;
            self.text = format!("{rate:.0} operations/s, {}", counted(failed, "error"));
            let wrong = context.findings().wrong;
            if wrong > 0 {
                self.text += ", WRONG ANSWERS: ";
                self.text += &thousands(wrong);
            }
            (self.since, self.answered) = (Instant::now(), answered);
        }
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let all = ms(context.plan.duration);
        console.status((ms(self.begun.elapsed()).min(all), all), &self.text);
    }
}
