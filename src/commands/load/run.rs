//! `load run`: many clients at once, measured and checked.

use crate::pg::rows;
use crate::pg::scan;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use clap::{Args, ValueEnum};

use super::check::check;
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
use crate::threads;

/// How often progress is shown, and looked whether to stop.
const STEP: Duration = Duration::from_millis(100);
/// How long a client may be at its last operation: to connect, to wait for a move, and to end a lost session.
const LAST_OPERATION: Duration = Duration::from_secs(25);
/// How often reading the users that are there is told.
const TOLD_EVERY: usize = 10_000;

/// How keys are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Keys {
    /// Each user is as likely as the others
    Uniform,
    /// A few users are touched most, those with the lowest ids
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

fn parse_ids(words: &str) -> std::result::Result<IdRange, String> {
    let shape = || "users are two ids, such as `1..1000`".to_owned();
    let (first, last) = words.split_once("..").ok_or_else(shape)?;
    let id = |word: &str| word.parse::<UserId>().map_err(|_| shape());
    let range = IdRange { first: id(first)?, last: id(last)? };
    if range.last < range.first { Err("the last id is less than the first".into()) } else { Ok(range) }
}

/// The arguments of `load run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// How many clients there are, each with one operation at a time
    #[arg(long, value_name = "N", default_value = "8", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) clients: u32,
    /// How long, such as 500ms, 10s or 2m
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    pub(crate) duration: Duration,
    /// How often each operation comes: weights of get, create, update and delete
    #[arg(long, value_name = "MIX", default_value = "get=80,create=15,update=5")]
    pub(crate) mix: Mix,
    /// Operations a second, of all clients together; latencies then count from when an operation was due [default:
    /// as fast as they are answered]
    #[arg(long, value_name = "R", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rate: Option<u32>,
    /// Which users are touched
    #[arg(long, value_enum, value_name = "HOW", default_value = "uniform")]
    pub(crate) keys: Keys,
    /// The seed of all that is drawn
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Work with these users alone, and with those that are created; users that load did not make are only read
    /// [default: all]
    #[arg(long, value_name = "FIRST..LAST", value_parser = parse_ids, allow_hyphen_values = true)]
    pub(crate) users: Option<IdRange>,
    /// This shard has an asynchronous replica that may be promoted meanwhile: acknowledged writes that are gone there
    /// count as `lost_unreplicated`, and not as wrong; may be given more than once
    #[arg(long, value_name = "SHARD", add = clap_complete::ArgValueCompleter::new(crate::commands::complete_shard))]
    pub(crate) async_replica: Vec<ShardName>,
}

impl RunArgs {
    /// Runs the clients, checks what they wrote, and tells.
    pub fn run(&self, context: &Context<'_>) -> Result<Report> {
        let cluster = context.cluster_apart(self.clients + 1)?;
        let names = cluster.shards().names();
        if let Some(unknown) = self.async_replica.iter().find(|name| !names.contains(name)) {
            return Err(Error::new(Kind::NotFound, format!("there is no shard `{unknown}`"))
                .hint("ringshard shards lists them"));
        }
        // A cache does not tell which incarnations there are. What fails here will fail where it is told.
        drop(cluster.refresh());
        let console = context.console();
        let interrupts = console.watch_interrupts();
        let known = self.read_users(&cluster, console, &interrupts)?;
        let creates = self.mix.weight(LoadOperation::Create) > 0;
        if known.is_empty() && !creates {
            return Err(Error::new(Kind::NotFound, "there are no users to work with, and none are created")
                .hint("ringshard load fill 100000 stores some"));
        }
        let claim = creates.then(|| rows::reserve_ids(&cluster)).transpose()?;
        let clients =
            (0..self.clients).map(|_| context.cluster_again(&cluster)).collect::<Result<Vec<_>>>()?;
        warm_up(&clients);
        let begun_at = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let new_ids = claim.as_ref().map_or((0, 0), |claim| (claim.first.number(), claim.count));
        let run_context =
            Arc::new(RunContext::new(Arc::clone(&cluster), self.plan(begun_at), known, new_ids));
        let run = work(&run_context, clients, console, &interrupts);
        let checked = check(&run_context, |done, all| {
            console.status((done as u64, all as u64), "checking what was written");
            !interrupts.asked()
        });
        console.progress(None);
        let outcome = LoadOutcome { context: &run_context, run, checked, begun_at, keys: self.keys_name() };
        let report = outcome.report();
        if let Some(run) = json(&report) {
            state_file::write(context, &cluster, "load", &run);
        }
        Ok(report)
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
        self.keys.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// Which users there are, and what they are like now.
    fn read_users(
        &self,
        cluster: &Cluster,
        console: &dyn Console,
        interrupts: &Interrupts,
    ) -> Result<ExistingKeys> {
        // Ids greater than the one before the first; of the very first id, all.
        let after = self.users.and_then(|users| users.first.number().checked_sub(1)).map(UserId::new);
        let filter = Filter { after, ..Filter::default() };
        let mut known = ExistingKeys::default();
        for user in scan::list_users(cluster, &filter, false)?.0 {
            let user = user?;
            if self.users.is_some_and(|users| user.user_id > users.last) {
                break;
            }
            known.push(&user);
            if known.len().is_multiple_of(TOLD_EVERY) {
                let at = "to see which there are".into();
                console.progress(Some(&Progress { rows: known.len() as u64, part: None, at }));
                if interrupts.asked() {
                    return Err(Error::new(Kind::Partial, "stopped before anything was run")
                        .hint("--users FIRST..LAST works with some users alone"));
                }
            }
        }
        console.progress(None);
        Ok(known)
    }
}

/// Opens the connections that the clients are going to need, so that no operation pays for them. What fails here will
/// fail where it is told.
fn warm_up(clients: &[Cluster]) {
    threads::at_once(clients, |cluster| drop(cluster.refresh()));
}

/// Starts the clients, shows how they do, and waits for them. Each has connections of its own, and its own view of the
/// ring, as programs have that know nothing of each other.
fn work(
    context: &Arc<RunContext>,
    clusters: Vec<Cluster>,
    console: &dyn Console,
    interrupts: &Interrupts,
) -> LoadRun {
    let (sender, ended) = channel::<()>();
    for (number, cluster) in (0..context.plan.clients).zip(clusters) {
        let (context, sender) = (Arc::clone(context), sender.clone());
        // Not joined: an operation may never be answered.
        thread::spawn(move || {
            Client::new(context, cluster, number).work();
            let _ = sender.send(());
        });
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
    // What was answered later counts, and so does the time until then.
    let elapsed = elapsed.max(tally.last_at);
    tally.pad(elapsed);
    LoadRun { tally, elapsed, was_stopped, stuck: left }
}

/// Waits a little; how many clients have ended.
fn wait(ended: &Receiver<()>) -> u32 {
    match ended.recv_timeout(STEP) {
        Ok(()) => 1,
        Err(RecvTimeoutError::Timeout) => 0,
        // None can be left: each says so when it ends, unless it panicked.
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

/// What is shown while it runs.
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
            #[expect(clippy::cast_precision_loss, reason = "a rate for the eye")]
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
