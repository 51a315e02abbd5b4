//! What one line of the REPL or of a script may say: every command, and what is about the session itself.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};

use super::{Globals, Invocation};
use crate::settings::{ColorWhen, Format, ReadReplica};

/// One line: the same commands and flags as in the shell, and what is about the session
#[derive(Debug, Parser)]
#[command(name = "ringshard", disable_help_subcommand = true, disable_version_flag = true)]
pub struct ReplCommand {
    /// What holds for every command.
    #[command(flatten)]
    pub globals: Globals,
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What a line asks for.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// What the shell may ask for, too.
    #[command(flatten)]
    Invocation(Invocation),
    /// What is about the session.
    #[command(flatten)]
    Session(SessionCommand),
}

/// What is about the session: what it remembers, and where its commands come from.
#[derive(Debug, Subcommand)]
pub enum SessionCommand {
    /// Leave
    #[command(aliases = ["exit", "\\q"])]
    Quit,
    /// Show how long each command took: all of it, and the parts of it that went into routing, waiting and
    /// querying
    #[command(alias = "\\timing")]
    Timing(SwitchArgs),
    /// Show one field a line
    #[command(alias = "\\x")]
    Expanded(SwitchArgs),
    /// Run a command again and again, until Ctrl-C
    #[command(alias = "\\watch")]
    Watch(WatchArgs),
    /// Show the settings of this session, or change one
    #[command(alias = "\\set")]
    Set(SetArgs),
    /// Take a setting back to what it was when the session began
    #[command(alias = "\\unset")]
    Unset(UnsetArgs),
    /// Run the commands of a file
    #[command(alias = "\\i")]
    Source(SourceArgs),
    /// Show the lines that were typed
    #[command(alias = "\\s")]
    History(HistoryArgs),
    /// Run a command of the system's shell: \! COMMAND
    #[command(alias = "\\!")]
    Shell(ShellArgs),
}

/// Turns something on or off.
#[derive(Debug, Args)]
pub struct SwitchArgs {
    /// The other way round, if not given
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
    /// The command; a number before it is the pause in seconds, else 2
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
    /// Which setting; without one, all are shown.
    #[command(subcommand)]
    pub setting: Option<SetCommand>,
}

/// A setting of the session, with its value.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum SetCommand {
    /// How to write data
    Format {
        /// The format
        #[arg(value_enum)]
        value: Format,
    },
    /// Whether there is a header line
    Header {
        /// On or off
        #[arg(value_enum)]
        value: Switch,
    },
    /// Whether there is one field a line
    Expanded {
        /// On or off
        #[arg(value_enum)]
        value: Switch,
    },
    /// Whether notices and progress are left out
    Quiet {
        /// On or off
        #[arg(value_enum)]
        value: Switch,
    },
    /// Whether it is shown how long each command took
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
    /// How to write data.
    Format,
    /// Whether there is a header line.
    Header,
    /// Whether there is one field a line.
    Expanded,
    /// Whether notices and progress are left out.
    Quiet,
    /// Whether it is shown how long each command took.
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
    /// The file, a command a line
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// Go on after an error
    #[arg(long)]
    pub keep_going: bool,
}

/// The arguments of `history`.
#[derive(Debug, Args)]
pub struct HistoryArgs {
    /// Only the last ones
    #[arg(value_name = "N")]
    pub count: Option<usize>,
}

/// The arguments of `shell`.
#[derive(Debug, Args)]
pub struct ShellArgs {
    /// The command; a shell to type into, if not given
    #[arg(value_name = "COMMAND", trailing_var_arg = true, allow_hyphen_values = true)]
    pub words: Vec<String>,
}
