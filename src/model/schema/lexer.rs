//! The tokens of SQL as Postgres reads them with `standard_conforming_strings` on: enough to find the ends of statements, and to
//! read their first words.

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// A keyword, a name without quotes, or a number.
    Word,
    /// A name in double quotes.
    QuotedName,
    /// A string constant.
    Text,
    /// Any other character.
    Sign,
}

/// A token of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) kind: TokenKind,
    pub(super) text: &'a str,
    /// Where it begins, in bytes.
    pub(super) start: usize,
}

impl Token<'_> {
    /// Whether it is this keyword.
    pub(super) fn is(&self, keyword: &str) -> bool {
        self.kind == TokenKind::Word && self.text.eq_ignore_ascii_case(keyword)
    }

    /// Whether it is this character.
    pub(super) fn is_sign(&self, sign: &str) -> bool {
        self.kind == TokenKind::Sign && self.text == sign
    }
}

/// The tokens of a text, without comments. Fails with the place of a quote or comment that is not closed.
pub(super) fn tokens(text: &str) -> Result<Vec<Token<'_>>, usize> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        let (kind, length) = match c {
            _ if c.is_whitespace() => (None, Some(c.len_utf8())),
            _ if rest.starts_with("--") => (None, Some(rest.find('\n').unwrap_or(rest.len()))),
            _ if rest.starts_with("/*") => (None, comment(rest)),
            '\'' => (Some(TokenKind::Text), quoted(rest, '\'', false)),
            'e' | 'E' if rest[1..].starts_with('\'') => {
                (Some(TokenKind::Text), quoted(&rest[1..], '\'', true).map(|length| length + 1))
            }
            '"' => (Some(TokenKind::QuotedName), quoted(rest, '"', false)),
            '$' if dollar_tag(rest).is_some() => (Some(TokenKind::Text), dollar_quoted(rest)),
            _ if is_word(c) => {
                (Some(TokenKind::Word), Some(rest.find(|c| !is_word(c) && c != '$').unwrap_or(rest.len())))
            }
            _ => (Some(TokenKind::Sign), Some(c.len_utf8())),
        };
        let length = length.ok_or(at)?;
        tokens.extend(kind.map(|kind| Token { kind, text: &rest[..length], start: at }));
        at += length;
    }
    Ok(tokens)
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii()
}

/// The length of a comment, which may hold others.
fn comment(text: &str) -> Option<usize> {
    let mut depth = 0;
    let mut at = 0;
    loop {
        let rest = &text[at..];
        match rest.find(['/', '*']) {
            None => return None,
            Some(found) => at += found,
        }
        match &text[at..] {
            rest if rest.starts_with("/*") => (depth, at) = (depth + 1, at + 2),
            rest if rest.starts_with("*/") => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return Some(at);
        }
    }
}

/// The length of a text that begins with this quote. A doubled quote is part of it.
fn quoted(text: &str, quote: char, escapes: bool) -> Option<usize> {
    let mut is_escaped = false;
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if is_escaped {
            is_escaped = false;
        } else if escapes && c == '\\' {
            is_escaped = true;
        } else if c == quote && chars.next_if(|(_, next)| *next == quote).is_none() {
            return Some(at + 1);
        }
    }
    None
}

/// The delimiter that a dollar-quoted text begins with, such as `$body$`.
fn dollar_tag(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('$')?;
    let length = inner.find('$')?;
    let tag = &inner[..length];
    let is_tag = tag.chars().all(is_word) && !tag.starts_with(|c: char| c.is_ascii_digit());
    is_tag.then(|| &text[..length + 2])
}

fn dollar_quoted(text: &str) -> Option<usize> {
    let tag = dollar_tag(text)?;
    text[tag.len()..].find(tag).map(|at| at + 2 * tag.len())
}
