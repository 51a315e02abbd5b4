//! Command lines: the words of a line, and the commands of a pasted text.

use proptest::prelude::*;

use crate::mistakes::{any_value, config, text_like};
use lexer::{Lexer, commands};

// The lexer is private to the terminal and depends on nothing in the crate, so it is compiled here once more.
#[allow(dead_code, reason = "the terminal uses more of it")]
#[path = "../../src/terminal/lexer.rs"]
mod lexer;

const LINES: &[&str] = &[
    "create-user --id 1 --name 'Ann Lee' --email \"a\\\"b\" # hi",
    "sql 'SELECT 1\n  FROM users' \\\n  --shard shard_1\ncount",
    "\\! echo 'a b' | wc\n\\timing on\nget-user\\ 1;",
    "  \\x\n\n# it's\nimport a\\\nb.csv ''",
];

/// A word of a command line: between single or double quotes, or with backslashes.
fn quoted(word: &str, form: i32) -> String {
    let escaped = |is_special: fn(char) -> bool| {
        let each = |c: char| if is_special(c) { format!("\\{c}") } else { c.to_string() };
        word.chars().map(each).collect::<String>()
    };
    match form {
        0 => format!("'{}'", word.replace('\'', "'\\''")),
        // A backslash before a newline would take it away.
        1 if !word.contains('\n') => escaped(|_| true),
        _ => format!("\"{}\"", escaped(|c| "$`\"\\".contains(c))),
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn words_tile_a_line(text in text_like(LINES)) {
        let words = Lexer::of(&text);
        let mut spans: Vec<_> = words.tokens.iter().map(|word| word.span.clone()).collect();
        spans.extend(words.comments.iter().cloned());
        spans.sort_by_key(|span| span.start);
        let end = text.len()..text.len();
        let mut at = 0;
        for span in spans.into_iter().chain(std::iter::once(end)) {
            prop_assert!(at <= span.start && span.start <= span.end);
            // Only blanks and continued lines are between words.
            let between = text[at..span.start].replace("\\\n", "");
            let is_open = span.start == text.len() && words.open.is_some();
            prop_assert!(is_open || between.chars().all(char::is_whitespace), "{between:?} belongs to no word");
            at = span.end;
        }
    }

    #[test]
    fn words_in_quotes_are_read_back(list in prop::collection::vec((any_value(), 0..3), 1..6)) {
        // A line that begins with a backslash is read in another way.
        let line: String = list.iter().map(|(word, form)| format!(" {}", quoted(word, *form))).collect();
        let words = Lexer::of(&format!("sql{line}"));
        prop_assert_eq!(words.open, None);
        let read: Vec<&str> = words.tokens[1..].iter().map(|word| word.text.as_str()).collect();
        prop_assert_eq!(read, list.iter().map(|(word, _)| word.as_str()).collect::<Vec<_>>());
    }

    #[test]
    fn a_text_is_its_commands(text in text_like(LINES)) {
        let found = commands(&text);
        let mut rest = text.as_str();
        for command in &found {
            prop_assert_eq!(commands(command), [*command], "one command is one");
            let at = rest.find(command);
            prop_assert!(at.is_some_and(|at| rest[..at].trim().is_empty()), "{command:?} is not next in {rest:?}");
            rest = &rest[at.unwrap() + command.len()..];
        }
        prop_assert_eq!(rest.trim(), "");
    }
}
