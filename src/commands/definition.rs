//! The grammar of the command line with all its arguments.

use std::ffi::OsString;

use clap::CommandFactory;
use clap::builder::Resettable;
use clap::error::ErrorKind;

/// All commands of a grammar, each with its arguments. To build that for one command only takes a tenth of the time, so arguments are
/// deferred (`#[command(defer = true)]`), and this is for those who show them.
pub fn definition<G: CommandFactory>() -> clap::Command {
    let described = G::command();
    let mut all = described.clone();
    all.build();
    with_descriptions(all, &described)
}

/// The answer to a line that asks for help, which [`CommandFactory::command`] would give without descriptions.
pub fn with_help<G: CommandFactory>(
    cause: clap::Error,
    line: impl IntoIterator<Item = impl Into<OsString> + Clone>,
) -> clap::Error {
    if cause.kind() != ErrorKind::DisplayHelp {
        return cause;
    }
    definition::<G>().try_get_matches_from(line).err().unwrap_or(cause)
}

/// The description of a command is that of its variant, and not what its arguments are.
fn with_descriptions(built: clap::Command, described: &clap::Command) -> clap::Command {
    described.get_subcommands().fold(built, |built, inner| {
        built.mut_subcommand(inner.get_name(), |command| {
            let command = with_descriptions(command, inner);
            let command = command.about(Resettable::from(inner.get_about().cloned()));
            command.long_about(Resettable::from(inner.get_long_about().cloned()))
        })
    })
}
