//! `help` and its topics: what they say is right, and fits a screen.

use clap::{CommandFactory as _, Parser as _};
use ringshard::commands::Cli;
use ringshard::commands::help::TOPICS;
use ringshard::commands::repl_command::ReplCommand;
use ringshard::model::names::ShardName;
use ringshard::model::ring::position::Position;
use ringshard::model::ring::topology::Topology;
use ringshard::model::user::UserId;

use crate::support::command_paths::command_paths;
use crate::support::harness::Test;
use crate::support::rings::{owner, owner_of_four, prototype_ring, shard_names};

/// A screen of 24 lines and 80 columns, with a line left for the prompt.
const SCREEN_LINES: usize = 23;
const SCREEN_CHARS: usize = 79;

fn words<'a>(first: &'a str, rest: &'a [String]) -> Vec<&'a str> {
    std::iter::once(first).chain(rest.iter().map(String::as_str)).collect()
}

#[track_caller]
fn assert_fits_a_screen(what: &str, text: &str) {
    assert!(text.lines().count() <= SCREEN_LINES, "{what} has {} lines", text.lines().count());
    for line in text.lines() {
        assert!(line.is_ascii() && line.len() <= SCREEN_CHARS, "{what}: {line}");
    }
}

#[test]
fn the_overview_names_every_command_and_topic() {
    let test = Test::new();
    let text = test.run(&["help"]).success().stdout;
    assert_fits_a_screen("the overview", &text);
    assert_eq!(test.run(&["help", "ringshard"]).success().stdout, text);
    let words_of_text: Vec<&str> = text.split_whitespace().collect();
    for path in command_paths().into_iter().filter(|path| path.len() == 1) {
        assert!(words_of_text.contains(&path[0].as_str()), "the overview lacks {path:?}");
    }
    for topic in TOPICS {
        assert!(words_of_text.contains(&topic.name), "the overview lacks {}", topic.name);
    }
}

#[test]
fn help_of_each_command_has_its_usage_and_its_topics() {
    let test = Test::new();
    for path in command_paths() {
        let text = test.run(&words("help", &path)).success().stdout;
        assert!(text.contains(&format!("Usage: ringshard {}", path.join(" "))), "{path:?}: {text}");
        for topic in TOPICS.iter().filter(|topic| topic.commands.contains(&path.join(" ").as_str())) {
            assert!(text.ends_with('\n') && text.contains(&format!("topic: help {}\n", topic.name)));
        }
    }
    let paths: Vec<String> = command_paths().iter().map(|path| path.join(" ")).collect();
    for command in TOPICS.iter().flat_map(|topic| topic.commands) {
        assert!(paths.iter().any(|path| path == command), "there is no command `{command}`");
    }
}

#[test]
fn every_command_has_an_example_that_can_be_typed() {
    let mut session = ReplCommand::command();
    session.build();
    let mut count = 0;
    for path in command_paths().iter().chain(&session_paths(&session)) {
        let command = path.iter().fold(&session, |command, word| command.find_subcommand(word).unwrap());
        if command.has_subcommands() && command.is_subcommand_required_set() {
            continue;
        }
        let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let example = text.strip_prefix("Example: ").unwrap_or_else(|| panic!("{path:?} has no example"));
        let words = shlex::split(example).unwrap();
        let words = words.strip_prefix(&["ringshard".to_owned()]).unwrap_or(&words);
        assert!(words.iter().zip(path).all(|(word, of)| word == of || word.starts_with('\\')), "{example}");
        let parsed = ReplCommand::try_parse_from(std::iter::once("").chain(words.iter().map(String::as_str)));
        parsed.unwrap_or_else(|cause| panic!("{example}: {cause}"));
        count += 1;
    }
    assert!(count > 60, "{count}");
}

/// The commands that exist only in the REPL and in scripts.
fn session_paths(session: &clap::Command) -> Vec<Vec<String>> {
    let outside = Cli::command();
    let names = session.get_subcommands().map(clap::Command::get_name);
    names.filter(|name| outside.find_subcommand(name).is_none()).map(|name| vec![name.to_owned()]).collect()
}

/// What the texts say of keys and shares, by the ring of three shards that a new user has.
#[test]
fn what_the_texts_say_of_keys_and_shares_is_so() {
    let text = |name: &str| TOPICS.iter().find(|topic| topic.name == name).unwrap().text;
    let says = |text: &str, what: &str| {
        assert!(text.split_whitespace().collect::<Vec<_>>().join(" ").contains(what), "{what}: {text}");
    };
    let owners: Vec<usize> = [13, 14, 15].map(owner).into();
    assert_eq!(owners, [2, 3, 1]);
    says(text("sharding"), "(13, 14 and 15 are on three shards)");
    says(include_str!("../../../src/terminal/tour.txt"), "belong to three shards. $ ring locate 13 14 15");

    let ring = prototype_ring(3);
    let wraps = |id: i64| ring.locate(Position::of_user(UserId::new(id))).wrapped;
    assert_eq!((1..=400).filter(|id| wraps(*id)).collect::<Vec<_>>(), [373]);
    says(text("consistent-hashing"), "as for id 373 on three shards");
    // Three of four change their shard with modulo, and about one of four with the ring.
    assert_eq!((1..=1_200).filter(|id| id % 3 != id % 4).count(), 900);
    let moving = (1..=1_200).filter(|id| owner(*id) != owner_of_four(*id)).count();
    assert!((240..=360).contains(&moving), "{moving}");
    says(
        text("consistent-hashing"),
        "With `hash modulo 3`, a fourth shard would change the shard of three users in four.",
    );

    let shares = |virtual_nodes: u32| -> Vec<String> {
        let ring = Topology::of_equals(virtual_nodes, shard_names(3)).unwrap().ring();
        let percent = |(_, share): (&ShardName, f64)| format!("{:.0}", share * 100.0);
        let mut shares: Vec<String> = ring.shares().into_iter().map(percent).collect();
        shares.sort();
        shares
    };
    let nodes = text("virtual-nodes");
    assert_eq!(shares(1), ["22", "38", "40"]);
    says(nodes, "22, 38 and 40 % for shard_1 to shard_3");
    let between = |shares: Vec<String>| format!("{} to {} %", shares[0], shares[2]);
    says(nodes, &format!("{}; with 1,000 points {}", between(shares(100)), between(shares(1_000))));
}

#[test]
fn topics_are_found_by_name_and_alias() {
    let test = Test::new();
    let mut names = Vec::new();
    for topic in TOPICS {
        assert_fits_a_screen(topic.name, topic.text);
        for name in topic.aliases.iter().chain([&topic.name]) {
            assert!(test.run(&["help", name]).success().stdout == topic.text, "{name}");
            names.push(*name);
        }
    }
    assert_eq!(test.run(&["help", "Virtual", "nodes"]).success().stdout, TOPICS[1].text);
    assert_eq!(test.run(&["help", "USER_ID"]).success().stdout, TOPICS[2].text);
    for path in command_paths() {
        assert!(!names.contains(&path[0].as_str()), "`{}` is a command, and goes before a topic", path[0]);
    }
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "two topics of one name: {names:?}");
}

#[test]
fn unknown_help_topics_get_a_suggestion() {
    let test = Test::new();
    let hints: [(&[&str], &str); 5] = [
        (&["help", "rebal"], "ringshard help rebalancing"),
        (&["help", "get", "usr"], "ringshard help get-user"),
        (&["help", "ring", "lo"], "ringshard help ring locate"),
        (&["help", "count", "x"], "ringshard help count"),
        (&["help", "zebra"], "ringshard help lists both"),
    ];
    for (words, hint) in hints {
        test.run(words).fails(2).says(hint);
    }
}

/// The commands of a topic's examples.
fn tries(text: &str) -> Vec<Vec<String>> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("    ringshard "));
    lines.map(|line| shlex::split(line).unwrap()).collect()
}

#[test]
fn the_examples_of_each_topic_work() {
    for topic in TOPICS {
        let test = Test::initialised();
        let tries = tries(topic.text);
        assert!((2..=5).contains(&tries.len()), "{} has {} commands to try", topic.name, tries.len());
        for command in tries {
            let words: Vec<&str> = command.iter().map(String::as_str).collect();
            test.run(&words).success();
        }
    }
}

#[test]
fn the_examples_of_all_topics_work_on_one_cluster() {
    let test = Test::initialised();
    for command in TOPICS.iter().rev().flat_map(|topic| tries(topic.text)) {
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        test.run(&words).success();
    }
}
