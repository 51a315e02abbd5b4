//! The grammar of one line of the REPL or of a script: every command, and those about the session.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};

use clap_complete::ArgValueCompleter;

use super::{Globals, Invocation, complete_cluster};
use crate::model::names::ClusterName;
use crate::model::report::NullText;
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
#[command(defer = true)]
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
#[command(defer = true)]
pub enum SessionCommand {
    /// Leave the REPL
    #[command(aliases = ["exit", "\\q"])]
    #[command(after_help = "Example: quit")]
    Quit,
    /// Show how long each command took, in total and for routing, waiting and querying
    #[command(alias = "\\timing")]
    #[command(after_help = "Example: timing on")]
    Timing(SwitchArgs),
    /// Write one field per line
    #[command(alias = "\\x")]
    #[command(after_help = "Example: expanded on")]
    Expanded(SwitchArgs),
    /// Run a command repeatedly, until Ctrl-C; without one, the last command
    #[command(alias = "\\watch")]
    #[command(after_help = "Example: watch 2 shards")]
    Watch(WatchArgs),
    /// Show the settings of this session, or change one
    #[command(aliases = ["\\set", "\\pset"])]
    #[command(after_help = "Example: set format json")]
    Set(SetArgs),
    /// Reset a setting to its value at the start of the session
    #[command(alias = "\\unset")]
    #[command(after_help = "Example: unset format")]
    Unset(UnsetArgs),
    /// Run the commands of a file
    #[command(alias = "\\i")]
    #[command(after_help = "Example: source commands.txt")]
    Source(SourceArgs),
    /// Show the lines typed so far
    #[command(alias = "\\s")]
    #[command(after_help = "Example: history 20")]
    History(HistoryArgs),
    /// Write the data of the next commands to a file, or to a program; without one, to the screen again
    #[command(alias = "\\o")]
    #[command(after_help = "Example: output users.tsv")]
    Output(OutputArgs),
    /// Run the last command again, with its data to a file or to a program
    #[command(alias = "\\g")]
    #[command(after_help = "Example: again '|' sort")]
    Again(OutputArgs),
    /// Edit the last command, or a file of commands, with $VISUAL or $EDITOR, and run it
    #[command(alias = "\\e")]
    #[command(after_help = "Example: edit")]
    Edit(EditArgs),
    /// Change to another cluster, as `--cluster` names it; without a name, list them
    #[command(alias = "\\c")]
    #[command(after_help = "Example: connect production")]
    Connect(ConnectArgs),
    /// Keep a command under a name of your own; without a command, show it; without a name, list all
    #[command(after_help = "Example: alias eu list-users --region EU")]
    Alias(AliasArgs),
    /// Forget such a name
    #[command(after_help = "Example: unalias eu")]
    Unalias(UnaliasArgs),
    /// List the commands that run beside the prompt: COMMAND & starts one
    #[command(after_help = "Example: jobs")]
    Jobs,
    /// Ask a command beside the prompt to stop, as Ctrl-C would
    #[command(after_help = "Example: kill 1")]
    Kill(KillArgs),
    /// Clear the screen
    #[command(after_help = "Example: clear")]
    Clear,
    /// Run a command in the system's shell: \! COMMAND
    #[command(alias = "\\!")]
    #[command(after_help = "Example: shell ls -l")]
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
    /// The command, or none for the last one; a number before it is the interval in seconds [default: 2]
    #[arg(value_name = "[SECONDS] [COMMAND]", trailing_var_arg = true, allow_hyphen_values = true)]
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
#[command(defer = true)]
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
    /// Whether data that is longer than the screen goes through $PAGER
    Pager {
        /// On or off
        #[arg(value_enum)]
        value: Switch,
    },
    /// What a table shows in place of a missing value
    Null {
        /// At most 16 bytes; may be empty
        #[arg(value_name = "TEXT", value_parser = null_text)]
        value: NullText,
    },
    /// The keys of the line editor
    Keys {
        /// Whose keys
        #[arg(value_enum)]
        value: EditorKeys,
    },
    /// Whether reads may go to replicas
    ReadReplica {
        /// When
        #[arg(value_enum)]
        value: ReadReplica,
    },
}

fn null_text(text: &str) -> std::result::Result<NullText, String> {
    NullText::from(text).map_err(|_| format!("it has more than {} bytes", NullText::new_const().capacity()))
}

/// The keys of the line editor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EditorKeys {
    /// Those of Emacs.
    Emacs,
    /// Those of vi.
    Vi,
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
    /// Whether long data goes through a pager.
    Pager,
    /// What a table shows in place of a missing value.
    Null,
    /// The keys of the line editor.
    Keys,
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

/// The arguments of `output` and `again`.
#[derive(Debug, Args)]
pub struct OutputArgs {
    /// A file, which is replaced, or `|` and a command of the system's shell
    #[arg(value_name = "FILE||COMMAND", trailing_var_arg = true, allow_hyphen_values = true, value_hint = ValueHint::FilePath)]
    pub to: Vec<String>,
}

/// The arguments of `alias`.
#[derive(Debug, Args)]
pub struct AliasArgs {
    /// The name
    pub name: Option<String>,
    /// The command; what follows the name in a line is added to it
    #[arg(value_name = "COMMAND", trailing_var_arg = true, allow_hyphen_values = true)]
    pub words: Vec<String>,
}

/// The arguments of `unalias`.
#[derive(Debug, Args)]
pub struct UnaliasArgs {
    /// The name
    pub name: String,
}

/// The arguments of `connect`.
#[derive(Debug, Args)]
pub struct ConnectArgs {
    /// The cluster
    #[arg(value_name = "CLUSTER", add = ArgValueCompleter::new(complete_cluster))]
    pub name: Option<ClusterName>,
}

/// The arguments of `kill`.
#[derive(Debug, Args)]
pub struct KillArgs {
    /// Its number, as `jobs` lists it; a `%` before it is dropped
    #[arg(value_name = "JOB", value_parser = job_number)]
    pub job: u64,
}

fn job_number(text: &str) -> std::result::Result<u64, String> {
    text.strip_prefix('%').unwrap_or(text).parse().map_err(|_| "it is not the number of a job".to_owned())
}

/// The arguments of `edit`.
#[derive(Debug, Args)]
pub struct EditArgs {
    /// The file; the last command if not given
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: Option<PathBuf>,
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
