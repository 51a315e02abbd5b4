//! Completion and colours of SQL at the prompt.

use std::ops::Range;

/// The keywords that are completed and coloured.
const KEYWORDS: [&str; 68] = [
    "all",
    "analyze",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "between",
    "by",
    "case",
    "cast",
    "coalesce",
    "conflict",
    "count",
    "cross",
    "delete",
    "desc",
    "distinct",
    "do",
    "else",
    "end",
    "except",
    "exists",
    "explain",
    "false",
    "fetch",
    "filter",
    "first",
    "for",
    "from",
    "full",
    "group",
    "having",
    "ilike",
    "in",
    "inner",
    "insert",
    "intersect",
    "interval",
    "into",
    "is",
    "join",
    "last",
    "lateral",
    "left",
    "like",
    "limit",
    "not",
    "nothing",
    "null",
    "nulls",
    "offset",
    "on",
    "or",
    "order",
    "over",
    "partition",
    "returning",
    "right",
    "select",
    "set",
    "then",
    "true",
    "union",
    "update",
    "using",
    "values",
    "where",
];
const MORE_KEYWORDS: [&str; 3] = ["when", "with", "show"];

fn keywords() -> impl Iterator<Item = &'static str> {
    KEYWORDS.into_iter().chain(MORE_KEYWORDS)
}

/// Where the word before the cursor begins, and what it may become: names of tables and columns, and keywords as it is typed.
pub(super) fn completed(before: &str, names: &[String]) -> (usize, Vec<String>) {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let start = before
        .rfind(|c| !is_word(c))
        .map_or(0, |at| at + before[at..].chars().next().map_or(1, char::len_utf8));
    let word = &before[start..];
    let is_upper = word.chars().any(char::is_uppercase) && !word.chars().any(char::is_lowercase);
    let lower = word.to_lowercase();
    let keywords = keywords().filter(|keyword| !lower.is_empty() && keyword.starts_with(&lower));
    let keywords = keywords.map(|keyword| if is_upper { keyword.to_uppercase() } else { keyword.to_owned() });
    let names =
        names.iter().filter(|name| name.trim_start_matches('"').to_lowercase().starts_with(&lower)).cloned();
    let mut found: Vec<String> = names.chain(keywords).collect();
    found.dedup();
    (start, found)
}

/// The parts of a statement that have a colour, with SGR parameters of ECMA-48.
pub(super) fn colors(text: &str) -> Vec<(Range<usize>, &'static str)> {
    let mut parts = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        let ends_at = |from: usize, end: &str| {
            rest[from..].find(end).map_or(rest.len(), |length| from + length + end.len())
        };
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let (length, color) = if rest.starts_with("--") {
            (ends_at(2, "\n"), "2")
        } else if rest.starts_with("/*") {
            (ends_at(2, "*/"), "2")
        } else if c == '\'' {
            (ends_at(1, "'"), "33")
        } else if c == '"' {
            (ends_at(1, "\""), "")
        } else if is_word(c) {
            let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            let word = rest[..length].to_lowercase();
            let color = if keywords().any(|keyword| keyword == word) {
                "1"
            } else if c.is_ascii_digit() {
                "35"
            } else {
                ""
            };
            (length, color)
        } else {
            (c.len_utf8(), "")
        };
        if !color.is_empty() {
            parts.push((at..at + length, color));
        }
        at += length;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_keywords_in_their_case_and_names() {
        let names = ["users".to_owned(), "user_id".into(), "\"User\"".into()];
        let of = |before: &str| completed(before, &names).1;
        assert_eq!(of("SELECT * FR"), ["FROM"]);
        assert_eq!(of("select u.us"), ["users", "user_id", "\"User\"", "using"]);
        assert_eq!(of("select "), names);
        assert_eq!(completed("select é", &names), (7, Vec::new()));
    }

    #[test]
    fn each_part_has_its_colour() {
        let text = "SELECT 'it''s', 1.5, \"from\" -- from\nFROM é /* open";
        let parts: Vec<_> = colors(text).into_iter().map(|(span, color)| (&text[span], color)).collect();
        assert_eq!(
            parts,
            [
                ("SELECT", "1"),
                ("'it'", "33"),
                ("'s'", "33"),
                ("1", "35"),
                ("5", "35"),
                ("-- from\n", "2"),
                ("FROM", "1"),
                ("/* open", "2"),
            ]
        );
    }
}
