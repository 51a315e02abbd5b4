//! The commands: one file for each command or family, the arguments above their `run`.
//!
//! A command turns its arguments into an operation and returns a report. It never prints; questions and progress
//! go through [`Console`].

mod context;
mod definition;
pub mod explain;
pub mod failover;
pub mod help;
pub mod load;
pub mod monitoring;
pub mod repl_command;
pub mod ring;
pub mod schema;
pub mod setup;
pub mod sql;
mod state_file;
pub mod table;
pub mod usage;
pub mod users;

use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::builder::{EnumValueParser, TypedValueParser as _};
use clap::{ArgAction, Args, Parser, Subcommand};
use clap_complete::{ArgValueCompleter, CompletionCandidate};

use crate::error::Result;
use crate::model::names::ClusterName;
use crate::model::report::Report;
pub use crate::pg::net::active_sessions::{ActiveSessions, TimeSpent};
pub use crate::pg::net::watchdog::WaitListener;
pub use crate::pg::poll::health::{Life, Listener, News};
use crate::settings::{self, Access, ColorWhen, Flags, Format, ReadReplica, Settings};
pub use context::Context;
pub use definition::{definition, with_help};

const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    failed for another reason; verify found damage
  2    usage
  3    confirmation refused, or impossible without a terminal and --yes
  4    not found
  5    conflict: the user or the shard exists already
  6    stopped part-way; safe to run again
  65   bad input data: FILE:LINE: what is wrong
  69   a shard cannot be reached
  75   another process holds the lock; try again later
  77   authentication or permission
  78   configuration
  130  SIGINT, 143  SIGTERM

Settings: flags, then RINGSHARD_* variables, then the file (--config, RINGSHARD_CONFIG,
./ringshard.toml, $XDG_CONFIG_HOME/ringshard/config.toml), then PG* for missing parts of a URL.
RINGSHARD_HOME keeps config, state and the private Postgres in one folder.";

/// Shard tables over Postgres databases by consistent hashing
#[derive(Debug, Parser)]
#[command(name = "ringshard", version, after_long_help = EXIT_CODES, disable_help_subcommand = true)]
pub struct Cli {
    /// Run a command; may be given more than once
    #[arg(short = 'c', value_name = "COMMAND", conflicts_with = "script")]
    pub commands: Vec<String>,
    /// Run the commands of a file, one per line; `-` for standard input
    #[arg(short = 'f', value_name = "FILE")]
    pub script: Option<PathBuf>,
    /// With -c or -f: continue after an error
    #[arg(long)]
    pub keep_going: bool,
    /// The global flags.
    #[command(flatten)]
    pub globals: Globals,
    /// The command.
    #[command(subcommand)]
    pub command: Option<Invocation>,
}

/// A value of `--format`: of the global option, or of that of `ring export`, which is there in its place. To the parser both are one
/// option, so they have one type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnyFormat {
    /// How a report is written.
    Report(Format),
    /// What the ring is written as.
    Ring(ring::export::ExportFormat),
}

/// The flags that every command takes.
#[derive(Debug, Clone, Default, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags are what it holds")]
#[command(next_help_heading = "Global options")]
pub struct Globals {
    /// The configuration file
    #[arg(long, global = true, hide_short_help = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration
    #[arg(long, global = true, hide_short_help = true, value_name = "NAME", conflicts_with = "config",
          add = ArgValueCompleter::new(complete_cluster))]
    pub cluster: Option<ClusterName>,
    /// The output format
    #[arg(short = 'o', long, global = true, hide_short_help = true, value_name = "FORMAT",
          value_parser = EnumValueParser::<Format>::new().map(AnyFormat::Report))]
    pub format: Option<AnyFormat>,
    /// Leave out the header line; not that of export, which import reads
    #[arg(long, global = true, hide_short_help = true)]
    pub no_header: bool,
    /// Write one field per line
    #[arg(short = 'x', long, global = true, hide_short_help = true)]
    pub expanded: bool,
    /// Print no notices and no progress, only data and errors
    #[arg(short, long, global = true, hide_short_help = true)]
    pub quiet: bool,
    /// Log to stderr what happens; given twice: each hash, virtual node and statement too
    #[arg(short, long, global = true, hide_short_help = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// When to use colours
    #[arg(long, global = true, hide_short_help = true, value_enum, value_name = "WHEN")]
    pub color: Option<ColorWhen>,
    /// Log to this file instead of stderr
    #[arg(long, global = true, hide_short_help = true, value_name = "FILE")]
    pub log_file: Option<PathBuf>,
    /// Whether reads may go to replicas, which may return stale data [default: never]
    #[arg(long, global = true, hide_short_help = true, value_enum, value_name = "WHEN")]
    pub read_replica: Option<ReadReplica>,
    /// Refuse every command that writes
    #[arg(long, global = true, hide_short_help = true)]
    pub read_only: bool,
    /// Answer yes to every question
    #[arg(short, long, global = true, hide_short_help = true)]
    pub yes: bool,
    /// Ask no questions: fail where an answer is needed
    #[arg(long, global = true, hide_short_help = true)]
    pub no_input: bool,
}

impl Globals {
    /// The first of these flags that is valid only for a whole run, and not for one line of a script.
    pub fn flag_of_a_whole_run(&self) -> Option<&'static str> {
        let given = [
            ("--config", self.config.is_some()),
            ("--cluster", self.cluster.is_some()),
            ("--log-file", self.log_file.is_some()),
            ("--read-only", self.read_only),
        ];
        given.into_iter().find(|(_, given)| *given).map(|(flag, _)| flag)
    }

    /// The output format. `ring export` writes no report, but its errors are JSON if its data are.
    pub fn report_format(&self) -> Option<Format> {
        match self.format? {
            AnyFormat::Report(format) => Some(format),
            AnyFormat::Ring(ring::export::ExportFormat::Json) => Some(Format::Json),
            AnyFormat::Ring(_) => None,
        }
    }

    /// The settings among these flags.
    pub fn settings(&self) -> Flags {
        Flags {
            config: self.config.clone(),
            cluster: self.cluster.clone(),
            format: self.report_format(),
            access: self.read_only.then_some(Access::ReadOnly),
            color: self.color,
            log_file: self.log_file.clone(),
            read_replica: self.read_replica,
        }
    }
}

/// The commands of the command line.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum Invocation {
    /// A command that returns a report.
    #[command(flatten)]
    Command(Command),
    /// A command that takes over the terminal.
    #[command(flatten)]
    Live(Live),
}

/// The commands that take over the terminal, which runs them itself.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum Live {
    /// Run commands interactively; the default on a terminal when no command is given
    #[command(after_help = "Example: ringshard repl --no-init")]
    Repl(ReplArgs),
    /// Show how ringshard works, step by step, on its own private Postgres
    #[command(after_help = "Example: ringshard tour --at-once")]
    Tour(TourArgs),
    /// Show shards, ring and this machine, live and full screen; q leaves
    #[command(after_help = "Example: ringshard monitor")]
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
    /// If standard input is a script: continue after an error
    #[arg(long)]
    pub keep_going: bool,
}

/// The commands that return a report.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum Command {
    /// Create or adopt the shards: databases, tables, catalog
    #[command(
        after_help = "Example: ringshard init-shards --shard 'shard_1=postgresql://app@db1/app' --shard 'shard_2=postgresql://app@db2/app'"
    )]
    InitShards(setup::init_shards::InitShardsArgs),
    /// Store a new user on the shard that owns its id
    #[command(after_help = "Example: ringshard create-user --id 42 --name Alice --region US")]
    CreateUser(users::one_user::CreateUserArgs),
    /// Read a user from the shard that owns its id
    #[command(after_help = "Example: ringshard get-user 42")]
    GetUser(users::one_user::GetUserArgs),
    /// Change fields of a user
    #[command(after_help = "Example: ringshard update-user 42 --region EU")]
    UpdateUser(users::one_user::UpdateUserArgs),
    /// Delete a user
    #[command(after_help = "Example: ringshard delete-user 42")]
    DeleteUser(users::one_user::DeleteUserArgs),
    /// List users of all shards, by id
    #[command(after_help = "Example: ringshard list-users --region EU --limit 10")]
    ListUsers(users::list_users::ListUsersArgs),
    /// Count users, all of them or by shard or region
    #[command(after_help = "Example: ringshard count --by shard")]
    Count(users::count::CountArgs),
    /// Import users from a file: CSV with a header, or JSON lines
    #[command(after_help = "Example: ringshard import users.csv --on-conflict skip")]
    Import(users::import::ImportArgs),
    /// Export all users to a file, by id
    #[command(after_help = "Example: ringshard export users.csv.gz")]
    Export(users::export::ExportArgs),
    /// Store synthetic users, and run a load that measures and checks every answer
    #[command(subcommand)]
    Load(load::LoadCommand),
    /// Run a SQL statement on the owner of its key, or on all shards, and merge the answers
    #[command(after_help = "Example: ringshard sql 'SELECT count(*) FROM users'")]
    Sql(sql::SqlArgs),
    /// Show which shard owns a key, for scripts
    #[command(after_help = "Example: ringshard route 42")]
    Route(ring::route::RouteArgs),
    /// Manage the tables of the cluster: which are sharded, and by which key
    #[command(subcommand)]
    Table(table::TableCommand),
    /// Keep the schema of the tables the same on all shards
    #[command(subcommand)]
    Schema(schema::SchemaCommand),
    /// List the shards
    #[command(after_help = "Example: ringshard shards")]
    Shards(ring::shards::ShardsArgs),
    /// Show all on one screen: shards, change under way, tables, replicas, and what is wrong
    #[command(after_help = "Example: ringshard status")]
    Status(monitoring::status::StatusArgs),
    /// Show statistics of each shard, or of this machine: sizes, rates, connections, lag
    #[command(after_help = "Example: ringshard stats")]
    Stats(monitoring::stats::StatsArgs),
    /// Check that every shard can be reached and is set up correctly, with a hint for each problem
    #[command(after_help = "Example: ringshard doctor")]
    Doctor(setup::doctor::DoctorArgs),
    /// Plan to add a shard to the ring, or to change its weight; moves nothing
    #[command(after_help = "Example: ringshard add-shard shard_4 'postgresql://app@db4/app'")]
    AddShard(ring::membership::AddShardArgs),
    /// Plan to remove a shard from the ring; moves nothing
    #[command(after_help = "Example: ringshard remove-shard shard_4")]
    RemoveShard(ring::membership::RemoveShardArgs),
    /// Carry out the planned change of the ring by moving users, online
    #[command(after_help = "Example: ringshard rebalance --dry-run")]
    Rebalance(ring::rebalance::RebalanceArgs),
    /// Check that each row is on its owner and nowhere else, and repair
    #[command(after_help = "Example: ringshard verify --deep")]
    Verify(ring::verify::VerifyArgs),
    /// Manage the replicas of the shards
    #[command(subcommand)]
    Replica(failover::replica::ReplicaCommand),
    /// Make a replica the primary of a shard whose primary has failed
    #[command(after_help = "Example: ringshard promote shard_2")]
    Promote(failover::promote::PromoteArgs),
    /// Make a shard fail on purpose, for a limited time
    #[command(subcommand)]
    Drill(failover::drill::DrillCommand),
    /// Show the ring: who owns what, and why
    #[command(subcommand)]
    Ring(ring::RingCommand),
    /// Write the state of the cluster into one HTML page
    #[command(after_help = "Example: ringshard report cluster.html")]
    Report(monitoring::report::ReportArgs),
    /// Manage the private Postgres that ringshard runs if it is given no server
    #[command(subcommand)]
    Local(setup::local::LocalCommand),
    /// Show the settings in force
    #[command(subcommand)]
    Config(setup::config::ConfigCommand),
    /// Print the completion script for a shell
    #[command(after_help = "Example: ringshard completions bash")]
    Completions(setup::completions::CompletionsArgs),
    /// Write the man pages into a folder
    #[command(after_help = "Example: ringshard man ~/.local/share/man/man1")]
    Man(setup::completions::ManArgs),
    /// Show step by step what a command would do, without running it
    #[command(after_help = "Example: ringshard explain get-user 42")]
    Explain(explain::ExplainArgs),
    /// Explain a command, or a topic such as consistent-hashing
    #[command(aliases = ["\\?", "?"])]
    #[command(after_help = "Example: ringshard help rebalancing")]
    Help(help::HelpArgs),
}

impl Command {
    /// Whether it may change a shard, the ring, or the private Postgres.
    pub fn writes(&self) -> bool {
        match self {
            Self::InitShards(_)
            | Self::CreateUser(_)
            | Self::UpdateUser(_)
            | Self::DeleteUser(_)
            | Self::Load(_)
            | Self::AddShard(_)
            | Self::RemoveShard(_)
            | Self::Promote(_)
            | Self::Drill(_) => true,
            Self::Import(args) => args.writes(),
            Self::Table(command) => command.writes(),
            Self::Schema(command) => command.writes(),
            Self::Rebalance(args) => args.writes(),
            Self::Verify(args) => args.fix,
            Self::Replica(command) => command.writes(),
            Self::Local(command) => command.writes(),
            Self::GetUser(_)
            | Self::ListUsers(_)
            | Self::Count(_)
            | Self::Export(_)
            | Self::Sql(_)
            | Self::Route(_)
            | Self::Shards(_)
            | Self::Status(_)
            | Self::Stats(_)
            | Self::Doctor(_)
            | Self::Ring(_)
            | Self::Report(_)
            | Self::Config(_)
            | Self::Completions(_)
            | Self::Man(_)
            | Self::Explain(_)
            | Self::Help(_) => false,
        }
    }

    /// Runs the command.
    pub fn run(&self, context: &Context<'_>) -> Result<Report> {
        if self.writes() {
            context.check_may_write()?;
            context.check_no_transaction()?;
        }
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
            Self::Route(args) => args.run(context),
            Self::Table(command) => command.run(context),
            Self::Schema(command) => command.run(context),
            Self::Shards(args) => args.run(context),
            Self::Status(args) => args.run(context),
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

/// The progress of a long command.
#[derive(Debug, Clone)]
pub struct Progress {
    /// The number of rows done.
    pub rows: u64,
    /// How much is done, out of how much, where that is known.
    pub part: Option<(u64, u64)>,
    /// The current activity; may be empty.
    pub at: String,
}

/// Whether the user wants a long command to stop. While this lives, the first Ctrl-C (or SIGTERM) sets the request,
/// and a second one ends the program; before and after, the first one ends it.
#[derive(Debug)]
pub struct Interrupts {
    /// Set by a signal.
    asked: Arc<AtomicBool>,
    /// Whether a signal ends the program.
    fatal: Arc<AtomicBool>,
}

impl Interrupts {
    /// With the two flags that the signal handlers use.
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

/// The terminal, as commands use it.
pub trait Console {
    /// Asks the user to confirm. An error of kind `Declined` if the answer is no, or if there is no terminal.
    fn confirm(&self, question: &str) -> Result<()>;

    /// Shows the progress of a long command; `None`: it is done. Cheap enough to be called often.
    fn progress(&self, progress: Option<&Progress>);

    /// Prints a notice while the command continues.
    fn tell(&self, text: &str);
    /// Shows progress with a text of the command: how much is done, out of how much.
    fn status(&self, part: (u64, u64), text: &str);

    /// From here on the command polls whether it is to stop.
    fn watch_interrupts(&self) -> Interrupts;
}

/// Completes the name of a cluster.
pub(crate) fn complete_cluster(typed: &OsStr) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy();
    let names = settings::cluster_names().into_iter().map(|name| name.to_string());
    names.filter(|name| name.starts_with(&*typed)).map(CompletionCandidate::new).collect()
}

/// Completes the name of a shard from the configuration.
pub(crate) fn complete_shard(typed: &OsStr) -> Vec<CompletionCandidate> {
    let Ok(settings) = Settings::load(&Flags::default()) else { return Vec::new() };
    let typed = typed.to_string_lossy();
    let names = settings.shards.iter().map(|(name, _)| name.as_str());
    names.filter(|name| name.starts_with(&*typed)).map(CompletionCandidate::new).collect()
}
