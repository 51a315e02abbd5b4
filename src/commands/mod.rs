//! The commands: one file a command or a family, its arguments above its `run`.
//!
//! A command turns its arguments into an operation and returns a report. It never prints; what it must ask
//! or show on the way goes through [`Console`].

mod context;
pub mod explain;
pub mod failover;
pub mod help;
pub mod load;
pub mod monitoring;
pub mod repl_command;
pub mod ring;
pub mod setup;
pub mod sql;
mod state_file;
pub mod usage;
pub mod users;

use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{ArgAction, Args, Parser, Subcommand};
use clap_complete::CompletionCandidate;

use crate::error::Result;
use crate::model::report::Report;
pub use crate::pg::net::active_sessions::{ActiveSessions, TimeSpent};
pub use crate::pg::poll::health::{Life, Listener, News};
use crate::settings::{ColorWhen, Flags, Format, ReadReplica, Settings};
pub use context::Context;

const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    failed for another reason; verify found something wrong
  2    usage
  3    confirmation refused, or impossible without a terminal and --yes
  4    not found
  5    conflict: the user or the shard exists already
  6    stopped part-way; safe to run again
  65   bad input data: FILE:LINE: what is wrong
  69   a shard cannot be reached
  75   somebody else holds the lock; try later
  77   authentication or permission
  78   configuration
  130  SIGINT, 143  SIGTERM

Settings: flags, then RINGSHARD_* variables, then the file (--config, RINGSHARD_CONFIG,
./ringshard.toml, $XDG_CONFIG_HOME/ringshard/config.toml), then PG* for missing parts of a URL.
RINGSHARD_HOME puts config, state and the private Postgres below one folder.";

/// Shards a users table over Postgres databases by consistent hashing
#[derive(Debug, Parser)]
#[command(name = "ringshard", version, after_long_help = EXIT_CODES, disable_help_subcommand = true)]
pub struct Cli {
    /// Run a command; may be given more than once
    #[arg(short = 'c', value_name = "COMMAND", conflicts_with = "script")]
    pub commands: Vec<String>,
    /// Run the commands of a file, a line each; `-` for standard input
    #[arg(short = 'f', value_name = "FILE")]
    pub script: Option<PathBuf>,
    /// With -c or -f: go on after an error
    #[arg(long)]
    pub keep_going: bool,
    /// What holds for every command.
    #[command(flatten)]
    pub globals: Globals,
    /// The command.
    #[command(subcommand)]
    pub command: Option<Invocation>,
}

/// The flags that every command takes.
#[derive(Debug, Clone, Default, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags are what it holds")]
#[command(next_help_heading = "Global options")]
pub struct Globals {
    /// The configuration file
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// How to write data
    #[arg(short = 'o', long, global = true, value_enum)]
    pub format: Option<Format>,
    /// Leave out the header line
    #[arg(long, global = true)]
    pub no_header: bool,
    /// One field a line
    #[arg(short = 'x', long, global = true)]
    pub expanded: bool,
    /// No notices and no progress; errors still show
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Log what happens to stderr; twice: each hash, virtual node and statement too
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// When to use colours
    #[arg(long, global = true, value_enum, value_name = "WHEN")]
    pub color: Option<ColorWhen>,
    /// Log to this file instead of stderr
    #[arg(long, global = true, value_name = "FILE")]
    pub log_file: Option<PathBuf>,
    /// Whether reads may go to replicas, whose answer may be stale [default: never]
    #[arg(long, global = true, value_enum, value_name = "WHEN")]
    pub read_replica: Option<ReadReplica>,
    /// Answer every question with yes
    #[arg(short, long, global = true)]
    pub yes: bool,
    /// Ask nothing: fail where a question would be asked
    #[arg(long, global = true)]
    pub no_input: bool,
}

impl Globals {
    /// The first of these flags that one line of a script cannot have for itself.
    pub fn flag_of_a_whole_run(&self) -> Option<&'static str> {
        let given = [("--config", self.config.is_some()), ("--log-file", self.log_file.is_some())];
        given.into_iter().find(|(_, given)| *given).map(|(flag, _)| flag)
    }

    /// What these flags say about settings.
    pub fn settings(&self) -> Flags {
        Flags {
            config: self.config.clone(),
            format: self.format,
            color: self.color,
            log_file: self.log_file.clone(),
            read_replica: self.read_replica,
        }
    }
}

/// What a command line may ask for.
#[derive(Debug, Subcommand)]
pub enum Invocation {
    /// What is answered with a report.
    #[command(flatten)]
    Command(Command),
    /// What goes on at the terminal.
    #[command(flatten)]
    Live(Live),
}

/// What goes on at the terminal for a while, and is the terminal's business.
#[derive(Debug, Subcommand)]
pub enum Live {
    /// Type commands, one after the other; the default on a terminal when no command is given
    Repl(ReplArgs),
    /// See all of it, step by step, on a private Postgres of its own
    Tour(TourArgs),
    /// Watch how the shards, the ring and this machine do; q leaves
    Monitor(monitoring::monitor::MonitorArgs),
}

/// The arguments of `tour`.
#[derive(Debug, Args)]
pub struct TourArgs {
    /// Do not wait for a key between the steps
    #[arg(long)]
    pub at_once: bool,
}

/// The arguments of `repl`.
#[derive(Debug, Default, Args)]
pub struct ReplArgs {
    /// Do not run the init file
    #[arg(long)]
    pub no_init: bool,
    /// Without a terminal, lines are a script: go on after an error
    #[arg(long)]
    pub keep_going: bool,
}

/// All commands that are answered with a report.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Create or adopt the shards: databases, tables, catalog
    InitShards(setup::init_shards::InitShardsArgs),
    /// Store a new user on the shard that owns its id
    CreateUser(users::one_user::CreateUserArgs),
    /// Read a user from the shard that owns its id
    GetUser(users::one_user::GetUserArgs),
    /// Change fields of a user
    UpdateUser(users::one_user::UpdateUserArgs),
    /// Delete a user
    DeleteUser(users::one_user::DeleteUserArgs),
    /// List users of all shards, by id
    ListUsers(users::list_users::ListUsersArgs),
    /// Count users, all of them or by shard or region
    Count(users::count::CountArgs),
    /// Store the users of a file: CSV with a header, or JSON lines
    Import(users::import::ImportArgs),
    /// Write all users into a file, by id
    Export(users::export::ExportArgs),
    /// Fill the shards with synthetic users, and run operations that are measured and checked
    #[command(subcommand)]
    Load(load::LoadCommand),
    /// Run one statement that reads on all shards
    Sql(sql::SqlArgs),
    /// List the shards
    Shards(ring::shards::ShardsArgs),
    /// How each shard does, or this machine: sizes, rates, connections, lags
    Stats(monitoring::stats::StatsArgs),
    /// Can every shard be reached, is each set up right; what to do if not
    Doctor(setup::doctor::DoctorArgs),
    /// Plan a shard into the ring, or give one another weight; moves nothing
    AddShard(ring::membership::AddShardArgs),
    /// Plan a shard out of the ring; moves nothing
    RemoveShard(ring::membership::RemoveShardArgs),
    /// Move users to where the planned ring wants them, online
    Rebalance(ring::rebalance::RebalanceArgs),
    /// Every row on exactly one shard, its owner: look, and repair
    Verify(ring::verify::VerifyArgs),
    /// The replicas of the shards: which there are, and how far each is
    #[command(subcommand)]
    Replica(failover::replica::ReplicaCommand),
    /// Make a replica the primary of a shard whose primary is gone
    Promote(failover::promote::PromoteArgs),
    /// Fail on purpose: a shard for a while, or its sessions; undone at the end
    #[command(subcommand)]
    Drill(failover::drill::DrillCommand),
    /// Look at the ring: who owns what, and why
    #[command(subcommand)]
    Ring(ring::RingCommand),
    /// Write all there is to see into one page of HTML
    Report(monitoring::report::ReportArgs),
    /// The private Postgres that ringshard runs when it is given none
    #[command(subcommand)]
    Local(setup::local::LocalCommand),
    /// The settings in force
    #[command(subcommand)]
    Config(setup::config::ConfigCommand),
    /// Print the completion script of a shell
    Completions(setup::completions::CompletionsArgs),
    /// Write the man pages into a folder
    Man(setup::completions::ManArgs),
    /// Tell step by step what a command would do; runs nothing
    Explain(explain::ExplainArgs),
    /// Explain a command, or a topic such as consistent-hashing; without words, list them
    #[command(alias = "\\?")]
    Help(help::HelpArgs),
}

impl Command {
    /// Does what the command says.
    pub fn run(&self, context: &Context<'_>) -> Result<Report> {
        match self {
            Self::InitShards(args) => args.run(context),
            Self::CreateUser(args) => args.run(context),
            Self::GetUser(args) => args.run(context),
            Self::UpdateUser(args) => args.run(context),
            Self::DeleteUser(args) => args.run(context),
            Self::ListUsers(args) => args.run(context),
            Self::Count(args) => args.run(context),
            Self::Import(args) => args.run(context),
            Self::Export(args) => args.run(context),
            Self::Load(command) => command.run(context),
            Self::Sql(args) => args.run(context),
            Self::Shards(args) => args.run(context),
            Self::Stats(args) => args.run(context),
            Self::Doctor(args) => args.run(context),
            Self::AddShard(args) => args.run(context),
            Self::RemoveShard(args) => args.run(context),
            Self::Rebalance(args) => args.run(context),
            Self::Verify(args) => args.run(context),
            Self::Replica(command) => command.run(context),
            Self::Promote(args) => args.run(context),
            Self::Drill(command) => command.run(context),
            Self::Ring(command) => command.run(context),
            Self::Report(args) => args.run(context),
            Self::Local(command) => command.run(context),
            Self::Config(command) => command.run(context),
            Self::Completions(args) => Ok(args.run()),
            Self::Man(args) => args.run(),
            Self::Explain(args) => args.run(context),
            Self::Help(args) => args.run(),
        }
    }
}

/// How far a long command has come.
#[derive(Debug, Clone)]
pub struct Progress {
    /// How many users are done.
    pub rows: u64,
    /// How much is done, and how much there is, where that is known.
    pub part: Option<(u64, u64)>,
    /// What it is at; empty if that goes without saying.
    pub at: String,
}

/// Whether the person wants a long command to stop. While this lives, a first Ctrl-C (or SIGTERM) asks, and a
/// second one ends the program; before and after, the first one does.
#[derive(Debug)]
pub struct Interrupts {
    /// Set by a signal.
    asked: Arc<AtomicBool>,
    /// Whether a signal ends the program.
    fatal: Arc<AtomicBool>,
}

impl Interrupts {
    /// Of these two flags, which signal handlers know.
    pub fn new(asked: Arc<AtomicBool>, fatal: Arc<AtomicBool>) -> Self {
        asked.store(false, Ordering::SeqCst);
        fatal.store(false, Ordering::SeqCst);
        Self { asked, fatal }
    }

    /// Whether to stop at the next safe point.
    pub fn asked(&self) -> bool {
        let asked = self.asked.load(Ordering::SeqCst);
        if asked {
            self.fatal.store(true, Ordering::SeqCst);
        }
        asked
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        self.fatal.store(true, Ordering::SeqCst);
    }
}

/// What a command may ask of the terminal.
pub trait Console {
    /// Asks for a yes. An error of kind `Declined` if the answer is no, or if nobody can be asked.
    fn confirm(&self, question: &str) -> Result<()>;

    /// Shows how far a long command has come; `None`: it is done. May be called as often as one likes.
    fn progress(&self, progress: Option<&Progress>);

    /// Tells a person something while the command goes on.
    fn tell(&self, words: &str);
    /// The same in words of the command's own: how much of how much there is, and what there is to say.
    fn status(&self, part: (u64, u64), text: &str);

    /// From here on the command looks now and then whether it is to stop.
    fn watch_interrupts(&self) -> Interrupts;
}

/// Completes the name of a shard from the configuration.
pub(crate) fn complete_shard(typed: &OsStr) -> Vec<CompletionCandidate> {
    let Ok(settings) = Settings::load(&Flags::default()) else { return Vec::new() };
    let typed = typed.to_string_lossy();
    let names = settings.shards.iter().map(|(name, _)| name.as_str());
    names.filter(|name| name.starts_with(&*typed)).map(CompletionCandidate::new).collect()
}
