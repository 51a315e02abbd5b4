//! `drill`: failures on purpose, which end by themselves.

use crate::pg::drill;
use std::thread;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use clap_complete::ArgValueCompleter;

use crate::commands::{Context, complete_shard};
use crate::error::{Error, Kind, Result};
use crate::model::duration::parse_duration;
use crate::model::names::ShardName;
use crate::model::report::{Cell, Column, Report};
use crate::model::text::counted;
use crate::pg::drill::{Drill, ProgramSessions};

/// How often a drill checks whether its time is up, or the user wants it to stop.
const STEP: Duration = Duration::from_millis(100);
/// The longest drill.
const LENGTH_MAX: Duration = Duration::from_hours(1);
/// The longest delay.
const DELAY_MAX: Duration = Duration::from_secs(10);

/// The commands of `drill`.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum DrillCommand {
    /// End all client sessions on a shard's database
    #[command(after_help = "Example: ringshard drill kill-connections shard_2")]
    KillConnections(KillArgs),
    /// Let a shard's database refuse all connections for a while
    #[command(after_help = "Example: ringshard drill outage shard_2 --for 10s")]
    Outage(OutageArgs),
    /// Delay the traffic between ringshard and a shard for a while
    ///
    /// Meanwhile every ringshard process of this user connects through a proxy in this process; when the drill ends,
    /// for whatever reason, they connect directly again. Other programs and the server are not slowed.
    #[command(after_help = "Example: ringshard drill slow shard_2 --delay 50ms --for 10s")]
    Slow(SlowArgs),
}

/// The arguments of `drill kill-connections`.
#[derive(Debug, Args)]
pub struct KillArgs {
    /// The shard
    #[arg(add = ArgValueCompleter::new(complete_shard))]
    pub(crate) shard: ShardName,
}

/// The arguments of `drill outage`.
#[derive(Debug, Args)]
pub struct OutageArgs {
    /// The shard
    #[arg(add = ArgValueCompleter::new(complete_shard))]
    pub(crate) shard: ShardName,
    #[command(flatten)]
    pub(crate) length: Length,
    /// Open the database again, if a crash of its server during a drill left it closed
    #[arg(long, conflicts_with = "length")]
    pub(crate) undo: bool,
}

/// The arguments of `drill slow`.
#[derive(Debug, Args)]
pub struct SlowArgs {
    /// The shard
    #[arg(add = ArgValueCompleter::new(complete_shard))]
    pub(crate) shard: ShardName,
    /// The delay in each direction, such as 50ms or 1s; at most 10s
    #[arg(long, value_name = "TIME", value_parser = delay)]
    pub(crate) delay: Duration,
    #[command(flatten)]
    pub(crate) length: Length,
}

/// The length of a drill.
#[derive(Debug, Args)]
pub struct Length {
    /// The length of the drill, such as 10s or 2m; at most 1h
    #[arg(long = "for", value_name = "TIME", default_value = "10s", value_parser = length)]
    pub(crate) length: Duration,
}

fn length(text: &str) -> std::result::Result<Duration, String> {
    parse_duration(text).and_then(|length| at_most(length, LENGTH_MAX, "a drill lasts at most an hour"))
}

fn delay(text: &str) -> std::result::Result<Duration, String> {
    parse_duration(text).and_then(|delay| at_most(delay, DELAY_MAX, "the delay is at most 10 seconds"))
}

fn at_most(length: Duration, most: Duration, why: &str) -> std::result::Result<Duration, String> {
    if length > most { Err(why.to_owned()) } else { Ok(length) }
}

impl DrillCommand {
    /// Shows what will fail, asks, makes it fail, and undoes it.
    pub fn run(&self, context: &Context<'_>) -> Result<Report> {
        match self {
            Self::KillConnections(args) => args.run(context),
            Self::Outage(args) => args.run(context),
            Self::Slow(args) => args.run(context),
        }
    }
}

/// The database and the sessions that the drill affects.
fn describe(drill: &Drill<'_>, sessions: &[ProgramSessions]) -> String {
    let each: Vec<String> = sessions
        .iter()
        .map(|ProgramSessions { application, count, .. }| {
            format!("{count} of {}", if application.is_empty() { "unnamed programs" } else { application })
        })
        .collect();
    let all: i64 = sessions.iter().map(|sessions| sessions.count).sum();
    let list = if each.is_empty() { String::new() } else { format!(" ({})", each.join(", ")) };
    let sessions = counted(u64::try_from(all).unwrap_or_default(), "session");
    format!("Database `{}`, {}, with {sessions}{list}", drill.database(), drill.shown_address())
}

/// Waits until the time is up, or until the user stops it; returns the time waited, and whether it was stopped.
fn wait(
    length: Duration,
    is_asked: impl Fn() -> bool,
    mut meanwhile: impl FnMut() -> Result<()>,
) -> Result<(Duration, bool)> {
    let begun = Instant::now();
    while begun.elapsed() < length {
        if is_asked() {
            return Ok((begun.elapsed(), true));
        }
        thread::sleep(STEP.min(length.saturating_sub(begun.elapsed())));
        meanwhile()?;
    }
    Ok((begun.elapsed(), false))
}

/// The error for a drill that Ctrl-C ended.
fn stopped(lasted: Duration) -> Error {
    Error::new(
        Kind::Partial,
        format!("the drill was stopped after {:.1} s; it is undone", lasted.as_secs_f64()),
    )
    .hint("run it again to drill for the whole time")
}

fn seconds(lasted: Duration) -> Cell {
    Cell::Decimal(lasted.as_secs_f64(), 1)
}

impl KillArgs {
    fn run(&self, context: &Context<'_>) -> Result<Report> {
        let cluster = context.cluster()?;
        let mut drill = drill::begin(&cluster, &self.shard)?;
        let sessions = drill.sessions()?;
        drill.check_permission(&sessions)?;
        context.console().confirm(&format!(
            "{}.\nAll of them lose their connection, also in the middle of a transaction.\nEnd them?",
            describe(&drill, &sessions)
        ))?;
        let ended = drill.kill_connections()?;
        let columns = [Column::text("shard"), Column::text("application"), Column::number("sessions")];
        let mut report = Report::list(&columns);
        for ProgramSessions { application, count, .. } in &ended {
            report.push(vec![self.shard.as_str().into(), application.as_str().into(), Cell::Integer(*count)]);
        }
        let all: i64 = ended.iter().map(|sessions| sessions.count).sum();
        let all = counted(u64::try_from(all).unwrap_or_default(), "session");
        report
            .notes
            .push(format!("ended {all} on shard `{}`; clients can connect again at once", self.shard));
        Ok(report)
    }
}

impl OutageArgs {
    fn undo(&self, context: &Context<'_>) -> Result<Report> {
        let cluster = context.cluster()?;
        let Some(closed) = drill::closed(&cluster, &self.shard)? else {
            return Ok(Report::note(format!("shard `{}` accepts connections: nothing to undo", self.shard)));
        };
        let database = closed.database().to_owned();
        context.console().confirm(&format!(
            "Database `{database}` accepts no connections, and no drill is running there.\nOpen it?"
        ))?;
        closed.open()?;
        Ok(Report::note(format!("database `{database}` of shard `{}` accepts connections again", self.shard)))
    }

    fn run(&self, context: &Context<'_>) -> Result<Report> {
        if self.undo {
            return self.undo(context);
        }
        let (cluster, console) = (context.cluster()?, context.console());
        let mut drill = drill::begin(&cluster, &self.shard)?;
        drill.check_ownership()?;
        let sessions = drill.sessions()?;
        drill.check_permission(&sessions)?;
        let length = self.length.length;
        console.confirm(&format!(
            "{}.\nAll of them are ended, and for {} s no client can connect.\nBegin?",
            describe(&drill, &sessions),
            length.as_secs_f64()
        ))?;
        let database = drill.database().to_owned();
        let interrupts = console.watch_interrupts();
        let mut outage = drill.outage(length)?;
        console.tell(&format!(
            "Shard `{}` refuses connections for {} s; Ctrl-C ends the drill, and `kill` if it runs beside the prompt.\n\
             Try meanwhile: ringshard shards; ringshard count --allow-partial; ringshard doctor",
            self.shard,
            length.as_secs_f64()
        ));
        let waited = wait(length, || interrupts.asked(), || outage.keep_out().map(|_| ()));
        let ended = outage.end()?;
        let undone = "; the outage is undone, and the database accepts connections";
        let (lasted, is_cut_short) = waited.map_err(|error| error.adding(undone))?;
        let columns = [
            Column::text("shard"),
            Column::text("database"),
            Column::number("seconds"),
            Column::number("sessions_ended"),
            Column::check("undone"),
        ];
        let row = vec![
            self.shard.as_str().into(),
            database.as_str().into(),
            seconds(lasted),
            Cell::Integer(ended),
            true.into(),
        ];
        let mut report = Report::one(&columns, row);
        report.notes.push(format!(
            "shard `{}` refused connections for {:.1} s; a test connection succeeds again",
            self.shard,
            lasted.as_secs_f64()
        ));
        report.failure = is_cut_short.then(|| stopped(lasted));
        Ok(report)
    }
}

impl SlowArgs {
    fn run(&self, context: &Context<'_>) -> Result<Report> {
        let (cluster, console) = (context.cluster()?, context.console());
        let proxy_overrides = context.settings().proxy_overrides().ok_or_else(|| {
            Error::new(
                Kind::Configuration,
                "the drill needs a state folder, through which other ringshard processes learn of it",
            )
            .hint("set HOME, or RINGSHARD_HOME")
        })?;
        let mut drill = drill::begin(&cluster, &self.shard)?;
        let sessions = drill.sessions()?;
        let (length, delay) = (self.length.length, self.delay);
        console.confirm(&format!(
            "{}.\nFor {} s all traffic between it and your ringshard processes is delayed by {} ms in each direction. \
             Idle sessions of ringshard are ended, so that they reconnect through the proxy.\nBegin?",
            describe(&drill, &sessions),
            length.as_secs_f64(),
            delay.as_millis()
        ))?;
        let interrupts = console.watch_interrupts();
        let mut slow = drill.slow(&proxy_overrides, delay)?;
        console.tell(&format!(
            "Traffic to shard `{}` is delayed by {} ms in each direction for {} s; Ctrl-C ends the drill, and `kill` if it runs beside the prompt.\n\
             Try at a prompt meanwhile: \\timing on; get-user 1; count --by shard",
            self.shard,
            delay.as_millis(),
            length.as_secs_f64()
        ));
        let waited = wait(
            length,
            || interrupts.asked(),
            || {
                slow.end_older_sessions();
                Ok(())
            },
        );
        let slowed = slow.end();
        let (lasted, is_cut_short) = waited?;
        let columns = [
            Column::text("shard"),
            Column::number("delay_ms"),
            Column::number("seconds"),
            Column::number("connections"),
            Column::number("sessions_ended"),
            Column::check("undone"),
        ];
        let row = vec![
            self.shard.as_str().into(),
            Cell::Integer(i64::try_from(delay.as_millis()).unwrap_or(i64::MAX)),
            seconds(lasted),
            Cell::Integer(i64::try_from(slowed.connections).unwrap_or(i64::MAX)),
            Cell::Integer(slowed.ended),
            true.into(),
        ];
        let mut report = Report::one(&columns, row);
        report.notes.push(format!(
            "traffic to shard `{}` was delayed by {} ms in each direction for {:.1} s, on {}; the delay is undone",
            self.shard,
            delay.as_millis(),
            lasted.as_secs_f64(),
            counted(slowed.connections, "connection")
        ));
        if slowed.cut > 0 {
            let cut = counted(slowed.cut, "connection");
            report
                .notes
                .push(format!("{cut} stayed busy too long and was closed: the programs must connect again"));
        }
        report.failure = is_cut_short.then(|| stopped(lasted));
        Ok(report)
    }
}
