//! The grammar of one line of the REPL or of a script: every command, and those about the session.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};

use super::{Globals, Invocation};
use crate::settings::{ColorWhen, Format, ReadReplica};

/// One line: the commands and flags of the command line, and those of the session
#[derive(Debug, Parser)]
#[command(name = "ringshard", disable_help_subcommand = true, disable_version_flag = true)]
pub struct ReplCommand {
    /// The global flags.
    #[command(flatten)]
    pub globals: Globals,
    /// The command.
    #[command(subcommand)]
    pub action: Action,
}

/// The command of a line.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// A command of the command line.
    #[command(flatten)]
    Invocation(Invocation),
    /// A command about the session.
    #[command(flatten)]
    Session(SessionCommand),
}

/// The commands about the session itself.
#[derive(Debug, Subcommand)]
pub enum SessionCommand {
    /// Leave the REPL
    #[command(aliases = ["exit", "\\q"])]
    Quit,
    /// Show how long each command took, in total and for routing, waiting and querying
    #[command(alias = "\\timing")]
    Timing(SwitchArgs),
    /// Write one field per line
    #[command(alias = "\\x")]
    Expanded(SwitchArgs),
    /// Run a command repeatedly, until Ctrl-C
    #[command(alias = "\\watch")]
    Watch(WatchArgs),
    /// Show the settings of this session, or change one
    #[command(alias = "\\set")]
    Set(SetArgs),
    /// Reset a setting to its value at the start of the session
    #[command(alias = "\\unset")]
    Unset(UnsetArgs),
    /// Run the commands of a file
    #[command(alias = "\\i")]
    Source(SourceArgs),
    /// Show the lines typed so far
    #[command(alias = "\\s")]
    History(HistoryArgs),
    /// Run a command in the system's shell: \! COMMAND
    #[command(alias = "\\!")]
    Shell(ShellArgs),
}

/// The argument of a switch.
#[derive(Debug, Args)]
pub struct SwitchArgs {
    /// On or off; toggled if not given
    #[arg(value_enum)]
    pub state: Option<Switch>,
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// On.
    On,
    /// Off.
    Off,
}

impl Switch {
    /// Whether it is on.
    pub fn is_on(self) -> bool {
        self == Self::On
    }
}

/// The arguments of `watch`.
#[derive(Debug, Args)]
pub struct WatchArgs {
    /// The command; a number before it is the interval in seconds [default: 2]
    #[arg(
        value_name = "[SECONDS] COMMAND",
        trailing_var_arg = true,
        allow_hyphen_values = true,
        required = true,
        num_args = 1..
    )]
    pub words: Vec<String>,
}

/// The arguments of `set`.
#[derive(Debug, Args)]
pub struct SetArgs {
    /// The setting; without one, all are shown.
    #[command(subcommand)]
    pub setting: Option<SetCommand>,
}

/// A setting of the session with its new value.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum SetCommand {
    /// The output format
    Format {
        /// The format
        #[arg(value_enum)]
        value: Format,
    },
    /// Whether to write a header line
    Header {
        /// On or off
        #[arg(value_enum)]
        value: Switch,
    },
    /// Whether to write one field per line
    Expanded {
        /// On or off
        #[arg(value_enum)]
        value: Switch,
    },
    /// Whether to leave out notices and progress
    Quiet {
        /// On or off
        #[arg(value_enum)]
        value: Switch,
    },
    /// Whether to show how long each command took
    Timing {
        /// On or off
        #[arg(value_enum)]
        value: Switch,
    },
    /// When to use colours
    Color {
        /// When
        #[arg(value_enum)]
        value: ColorWhen,
    },
    /// What to log on stderr
    Log {
        /// How much
        #[arg(value_enum)]
        value: LogLevel,
    },
    /// Whether reads may go to replicas
    ReadReplica {
        /// When
        #[arg(value_enum)]
        value: ReadReplica,
    },
}

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// What happens, as `-v`.
    Info,
    /// Each hash, virtual node and statement too, as `-vv`.
    Debug,
}

/// The name of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SettingName {
    /// The output format.
    Format,
    /// Whether to write a header line.
    Header,
    /// Whether to write one field per line.
    Expanded,
    /// Whether to leave out notices and progress.
    Quiet,
    /// Whether to show how long each command took.
    Timing,
    /// When to use colours.
    Color,
    /// What to log on stderr.
    Log,
    /// Whether reads may go to replicas.
    ReadReplica,
}

/// The arguments of `unset`.
#[derive(Debug, Args)]
pub struct UnsetArgs {
    /// The setting
    #[arg(value_enum)]
    pub name: SettingName,
}

/// The arguments of `source`.
#[derive(Debug, Args)]
pub struct SourceArgs {
    /// The file, with one command per line
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// Continue after an error
    #[arg(long)]
    pub keep_going: bool,
}

/// The arguments of `history`.
#[derive(Debug, Args)]
pub struct HistoryArgs {
    /// Show only the last N lines
    #[arg(value_name = "N")]
    pub count: Option<usize>,
}

/// The arguments of `shell`.
#[derive(Debug, Args)]
pub struct ShellArgs {
    /// The command; an interactive shell if not given
    #[arg(value_name = "COMMAND", trailing_var_arg = true, allow_hyphen_values = true)]
    pub words: Vec<String>,
}
