//! Strategies for text: random characters, many of them separators and escapes; or valid text with mistakes in it.

use proptest::prelude::*;
use proptest::sample::{Index, select};

/// The number of cases of a property. A failure writes no file.
pub(crate) fn config() -> ProptestConfig {
    let cases = std::env::var("RINGSHARD_FUZZ_CASES").map_or(256, |cases| cases.parse().unwrap());
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// Separators and escapes of any of the formats.
const SPECIAL: &[&str] = &[
    ":", "/", "@", "?", "&", "=", "%", ",", "[", "]", "'", "\"", "\\", " ", "\t", "\r", "\n", "#", ";", "!",
    "$", "{", "}", "-", "0", "7", "a", "é", "😀", "\u{a0}", "\u{feff}", "\0", "%ff", "%C3%A9", "://", "\\\n",
    "\r\n", "\"\"", "\\u00e9", "\\ud800",
];

fn any_piece() -> impl Strategy<Value = String> {
    prop_oneof![4 => select(SPECIAL).prop_map(str::to_owned), 1 => any::<char>().prop_map(String::from)]
}

fn any_text() -> impl Strategy<Value = String> {
    prop::collection::vec(any_piece(), 0..60).prop_map(String::from_iter)
}

/// A mistake.
#[derive(Debug, Clone)]
pub(crate) enum Edit {
    /// Adds a piece.
    Insert(String),
    /// Replaces the next character.
    Replace(String),
    /// Repeats the next few characters.
    Repeat(usize),
    /// Leaves out the next few characters.
    Leave(usize),
}

impl Edit {
    fn apply(&self, text: &mut Vec<char>, at: Index) {
        let at = at.index(text.len() + 1);
        let next = |count: usize| at..(at + count).min(text.len());
        match self {
            Self::Insert(piece) => drop(text.splice(at..at, piece.chars())),
            Self::Replace(piece) => drop(text.splice(next(1), piece.chars())),
            Self::Repeat(count) => {
                let again = text[next(*count)].to_vec();
                drop(text.splice(at..at, again));
            }
            Self::Leave(count) => drop(text.drain(next(*count))),
        }
    }
}

/// A few mistakes, and where.
pub(crate) fn edits() -> impl Strategy<Value = Vec<(Edit, Index)>> {
    let edit = prop_oneof![
        any_piece().prop_map(Edit::Insert),
        any_piece().prop_map(Edit::Replace),
        (1_usize..20).prop_map(Edit::Repeat),
        (1_usize..20).prop_map(Edit::Leave),
    ];
    prop::collection::vec((edit, any::<Index>()), 0..5)
}

/// The text with these mistakes.
pub(crate) fn edited(text: &str, edits: &[(Edit, Index)]) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for (edit, at) in edits {
        edit.apply(&mut chars, *at);
    }
    chars.into_iter().collect()
}

/// Random text, an example with mistakes, or the start of one example and the end of another, with mistakes.
pub(crate) fn text_like(examples: &'static [&'static str]) -> impl Strategy<Value = String> {
    let one = (select(examples), edits()).prop_map(|(text, edits)| edited(text, &edits));
    let two = (select(examples), any::<Index>(), select(examples), any::<Index>(), edits());
    let two = two.prop_map(|(first, until, second, from, edits)| {
        let until = until.index(first.chars().count() + 1);
        let from = from.index(second.chars().count() + 1);
        let joined: String = first.chars().take(until).chain(second.chars().skip(from)).collect();
        edited(&joined, &edits)
    });
    prop_oneof![1 => any_text(), 3 => one, 2 => two]
}

/// Text that is not empty and that Postgres can store.
pub(crate) fn any_value() -> impl Strategy<Value = String> {
    prop::collection::vec(any_piece(), 1..20).prop_map(|pieces| String::from_iter(pieces).replace('\0', "."))
}
