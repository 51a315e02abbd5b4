//! Tests of hints, colours and completion, without a terminal.

use std::sync::Arc;

use parking_lot::Mutex;
use rustyline::Context;
use rustyline::completion::Completer as _;
use rustyline::highlight::Highlighter as _;
use rustyline::hint::{Hint as _, Hinter as _};
use rustyline::history::{FileHistory, History as _};

use super::assistant::Assistant;
use super::grammar::SeenValues;

fn assistant() -> Assistant {
    let mut seen = SeenValues::default();
    seen.shards = vec!["shard_1".into(), "shard_2".into()];
    for id in [7, 42] {
        seen.note(id);
    }
    Assistant::new(&Arc::new(Mutex::new(seen)), true)
}

/// The candidates of TAB for the token at the end.
fn completed(line: &str) -> Vec<String> {
    let history = FileHistory::new();
    let (_, found) = assistant().complete(line, line.len(), &Context::new(&history)).unwrap();
    found.into_iter().map(|pair| pair.replacement).collect()
}

fn hint(line: &str) -> Option<(String, bool)> {
    let mut history = FileHistory::new();
    history.add("get-user --id 42 -o json").unwrap();
    let hint = assistant().hint(line, line.len(), &Context::new(&history))?;
    Some((hint.display().to_owned(), hint.completion().is_some()))
}

#[test]
fn commands_flags_values_shards_and_ids_are_completed() {
    assert_eq!(completed("create-u"), ["create-user "]);
    assert_eq!(completed("ringshard create-u"), ["create-user "]);
    assert_eq!(completed("create-user --na"), ["--name "]);
    assert_eq!(completed("ring loc"), ["locate "]);
    assert_eq!(completed("count -o js"), ["json", "jsonl"]);
    assert_eq!(completed("remove-shard sh"), ["shard_1", "shard_2"]);
    assert_eq!(completed("remove-shard shard_2"), ["shard_2 "]);
    assert_eq!(completed("get-user --id "), ["42", "7"]);
    assert_eq!(completed("count --by="), ["--by=shard", "--by=region", "--by=table"]);
    assert_eq!(completed("\\t"), ["\\timing "]);
    assert!(completed("\\").len() > 5);
    assert_eq!(completed("help virt"), ["virtual-nodes "]);
    assert_eq!(completed("shards # co"), Vec::<String>::new());
    assert_eq!(completed("get-user --id 4"), ["42 "]);
    assert_eq!(completed("set for"), ["format "]);
    assert_eq!(completed("set format j"), ["json", "jsonl"]);
    assert_eq!(completed("watch 2 coun"), ["count "]);
    assert_eq!(completed("no-such-command --"), completed("--"));
}

#[test]
fn hints_show_missing_arguments_or_the_history() {
    let missing = |text: &str| Some((text.to_owned(), false));
    assert_eq!(hint("create-user"), missing(" --name S | --set COLUMN=VALUE"));
    assert_eq!(hint("create-user --id 1 "), missing("--name S | --set COLUMN=VALUE"));
    assert_eq!(hint("create-user --id"), missing(" N"));
    assert_eq!(hint("create-user --id 1 --name A "), None);
    assert_eq!(hint("get-user --id 4"), Some(("2 -o json".into(), true)));
    assert_eq!(hint("get-u"), Some(("ser --id 42 -o json".into(), true)));
    assert_eq!(hint("remove-shard "), missing("NAME"));
    assert_eq!(hint("ring "), missing("COMMAND"));
    assert_eq!(hint("nonsense "), None);
    assert_eq!(hint(""), None);
}

#[test]
fn tokens_have_the_colours_of_their_roles() {
    let colored = |line: &str| assistant().highlight(line, line.len()).into_owned();
    let painted = |code: &str, text: &str| format!("\x1b[{code}m{text}\x1b[0m");
    assert_eq!(
        colored("create-user --id 1 --name 'Ann Lee' # a"),
        [
            painted("1;32", "create-user"),
            painted("36", "--id"),
            painted("35", "1"),
            painted("36", "--name"),
            painted("33", "'Ann Lee'"),
            painted("2", "# a"),
        ]
        .join(" ")
    );
    // While it is typed it may still become a command.
    assert_eq!(colored("creat"), "creat");
    assert_eq!(colored("creat "), format!("{} ", painted("31", "creat")));
    assert_eq!(colored("xyz"), painted("31", "xyz"));
    assert_eq!(
        colored("count --nonsense "),
        format!("{} {} ", painted("1;32", "count"), painted("31", "--nonsense"))
    );
}
