//! The commands, as the definition of the command line has them.

use clap::CommandFactory as _;
use ringshard::commands::Cli;

/// The paths of all commands, families too, as the definition of the command line has them.
pub(crate) fn command_paths() -> Vec<Vec<String>> {
    fn collect(command: &clap::Command, path: &[String], paths: &mut Vec<Vec<String>>) {
        for inner in command.get_subcommands() {
            let path = [path, &[inner.get_name().to_owned()]].concat();
            paths.push(path.clone());
            collect(inner, &path, paths);
        }
    }
    let mut paths = Vec::new();
    collect(&Cli::command(), &[], &mut paths);
    paths
}
