//! Hints: what they say to type can be typed.

use clap::{CommandFactory as _, Parser as _};
use ringshard::commands::Cli;

/// Asserts that each command of the hints in these messages is one that the command line takes, as far as it is printed: words
/// of prose may follow.
#[track_caller]
pub(crate) fn assert_can_be_typed(messages: &str) {
    for line in messages.lines().filter_map(|line| line.split_once("hint: ")).map(|(_, hint)| hint) {
        let root = Cli::command();
        for text in line.split("ringshard ").skip(1) {
            let text = text.split(';').next().unwrap_or_default();
            let words =
                shlex::split(text).unwrap_or_else(|| text.split_whitespace().map(str::to_owned).collect());
            let words: Vec<&str> = words.iter().map(|word| word.trim_end_matches([',', ':', ')'])).collect();
            // Something else is said of ringshard.
            if words.first().is_none_or(|word| root.find_subcommand(word).is_none()) {
                continue;
            }
            let is_taken = |count: usize| match Cli::try_parse_from(
                std::iter::once("ringshard").chain(words[..count].iter().copied()),
            ) {
                Ok(_) => true,
                Err(cause) => !cause.use_stderr(),
            };
            assert!(
                (1..=words.len()).any(is_taken),
                "`ringshard {text}` cannot be typed, of the hint: {line}"
            );
        }
    }
}
