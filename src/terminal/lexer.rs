//! The tokens of a line, quoted as in a shell, with their places: for running, completion and colours.
//!
//! The rules are those of 2.2 ("Quoting") and 2.3 of the POSIX shell command language. A line that begins with a
//! backslash is a command as in psql: its first token is taken verbatim, and the text behind `\!`, `\g` or `\o` is one token.
//! So is a statement behind `sql`, from its first keyword to the end of the line. A line that begins with SQL itself is a statement
//! of that command, which ends with a `;` outside its quotes and comments.

use std::ops::Range;

/// A token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    /// Its place, with the quotes.
    pub(super) span: Range<usize>,
    /// Its text, without the quotes.
    pub(super) text: String,
    /// Whether any of it is quoted.
    pub(super) is_quoted: bool,
}

impl Token {
    fn verbatim(text: &str, span: Range<usize>) -> Self {
        Self { text: text[span.clone()].into(), span, is_quoted: false }
    }
}

/// The keywords that begin a statement that reads.
const STATEMENTS: [&str; 9] =
    ["select", "with", "values", "table", "show", "explain", "insert", "update", "delete"];

/// Those that no command begins with.
const BARE: [&str; 14] = [
    "select",
    "with",
    "values",
    "insert",
    "update",
    "delete",
    "show",
    "begin",
    "start",
    "commit",
    "end",
    "rollback",
    "savepoint",
    "release",
];

/// Why a line is incomplete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Open {
    /// This quote is open.
    Quote(char),
    /// It ends with a backslash.
    Backslash,
    /// A statement that begins the line has no `;` yet. It can be run without.
    Statement,
}

impl Open {
    /// The prompt for the next line, as that of psql.
    pub(super) fn prompt(self) -> String {
        match self {
            Self::Quote(quote) => format!("{quote}> "),
            Self::Backslash => "> ".into(),
            Self::Statement => "-> ".into(),
        }
    }
}

/// A line as tokens.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Lexer {
    pub(super) tokens: Vec<Token>,
    /// Comments: from a `#` that begins a token to the end of the line.
    pub(super) comments: Vec<Range<usize>>,
    pub(super) open: Option<Open>,
    /// Where a command ends, and where the next one begins.
    breaks: Vec<(usize, usize)>,
}

impl Lexer {
    /// The tokens of a text.
    pub(super) fn of(text: &str) -> Self {
        Self::read(text, usize::MAX)
    }

    /// The same, up to this many ends of commands.
    fn read(text: &str, breaks_max: usize) -> Self {
        let mut lexer = Self::default();
        let start = text.len() - text.trim_start().len();
        let is_meta = text[start..].starts_with('\\') && !text[start..].starts_with("\\\n");
        let mut at = start;
        if is_meta && text[start..].len() > 1 {
            at = lexer.take_meta(text, start);
        }
        let mut reader = Reader { text, at };
        while reader.at < text.len() && lexer.breaks.len() < breaks_max {
            lexer.take(&mut reader);
        }
        lexer
    }

    fn take_meta(&mut self, text: &str, start: usize) -> usize {
        let end_of = |from: usize, is_end: fn(char) -> bool| {
            text[from..].find(is_end).map_or(text.len(), |length| from + length)
        };
        let name = start..end_of(start, |c| c.is_ascii_whitespace() || c == ';');
        let takes_the_line =
            text[start..].starts_with("\\!") || ["\\g", "\\gx", "\\o"].contains(&&text[name.clone()]);
        if takes_the_line {
            let end = if text[start..].starts_with("\\!") { start + 2 } else { name.end };
            self.tokens.push(Token::verbatim(text, start..end));
            return self.take_line(text, end);
        }
        self.tokens.push(Token::verbatim(text, name.clone()));
        name.end
    }

    /// Takes the rest of a line as one token. Returns its end.
    fn take_line(&mut self, text: &str, start: usize) -> usize {
        let end = text[start..].find('\n').map_or(text.len(), |length| start + length);
        let rest = text[start..end].trim();
        if !rest.is_empty() {
            let from = start + text[start..].find(rest).unwrap_or_default();
            self.tokens.push(Token::verbatim(text, from..from + rest.len()));
        }
        end
    }

    /// Whether a statement begins here, which `sql` runs.
    fn begins_statement(&self, rest: &str) -> bool {
        let word = rest.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
        let is_sql = self.tokens.iter().take(2).any(|token| token.text == "sql");
        is_sql && STATEMENTS.contains(&word.to_ascii_lowercase().as_str())
    }

    /// Takes a statement that ends with a `;`, after the command that runs it.
    fn take_statement(&mut self, reader: &mut Reader<'_>) {
        let start = reader.at;
        self.tokens.push(Token { span: start..start, text: "sql".into(), is_quoted: false });
        let (end, open) = statement_end(&reader.text[start..]);
        let text = reader.text[start..start + end].trim_end();
        self.tokens.push(Token::verbatim(reader.text, start..start + text.len()));
        self.open = open;
        reader.at = start + end;
        if open.is_none() {
            reader.at += usize::from(reader.text[reader.at..].starts_with(';'));
            // Another one may follow in the line.
            let rest = reader.text[reader.at..].split('\n').next().unwrap_or_default().trim();
            if !rest.is_empty() {
                self.breaks.push((reader.at, reader.at));
            }
        }
    }

    /// Takes a token, a comment, or a blank.
    fn take(&mut self, reader: &mut Reader<'_>) {
        let start = reader.at;
        match reader.peek() {
            Some('\n') => {
                reader.at += 1;
                self.breaks.push((start, reader.at));
            }
            Some(' ' | '\t' | '\r') => reader.at += 1,
            Some('#') => {
                let rest = &reader.text[start..];
                reader.at = start + rest.find('\n').unwrap_or(rest.len());
                self.comments.push(start..reader.at);
            }
            _ if self.tokens.is_empty() && begins_with_sql(&reader.text[start..]) => {
                self.take_statement(reader);
            }
            _ if self.begins_statement(&reader.text[start..]) => {
                reader.at = self.take_line(reader.text, start);
            }
            _ => {
                let mut token = Token { span: start..start, text: String::new(), is_quoted: false };
                self.open = reader.token(&mut token);
                token.span.end = reader.at;
                // A backslash before a newline between tokens is not a token.
                if token.is_quoted || !token.text.is_empty() {
                    self.tokens.push(token);
                }
            }
        }
    }

    /// The texts of the tokens.
    #[cfg(test)]
    fn texts(&self) -> Vec<String> {
        self.tokens.iter().map(|token| token.text.clone()).collect()
    }
}

/// Whether a line begins with SQL, which no command does.
pub(super) fn begins_with_sql(line: &str) -> bool {
    let mut words = line.split_ascii_whitespace().map(str::to_ascii_lowercase);
    let first = words.next().unwrap_or_default();
    let first = first.trim_start_matches('(').trim_end_matches(';');
    if BARE.contains(&first) {
        return true;
    }
    // `explain` alone is a command.
    first == "explain"
        && words.next().is_some_and(|next| {
            next.starts_with('(')
                || ["analyze", "verbose"].contains(&next.as_str())
                || BARE.contains(&next.as_str())
        })
}

/// Whether a line is a backslash command of psql about the statement before it, which it ends in the place of a `;`.
pub(super) fn is_about_statement(line: &str) -> bool {
    let name = line.split(|c: char| c.is_ascii_whitespace() || c == ';').next().unwrap_or_default();
    ["\\g", "\\gx", "\\watch"].contains(&name)
}

/// Where a statement ends: at its `;` or such a command, or at the end of the text, and why that is not the end.
fn statement_end(text: &str) -> (usize, Option<Open>) {
    let mut rest = text;
    let skip = |rest: &mut &str, from: usize, end: &str| match rest[from..].find(end) {
        Some(length) => {
            *rest = &rest[from + length + end.len()..];
            true
        }
        None => false,
    };
    loop {
        let Some(at) = rest.find(['\'', '"', ';', '-', '/', '$', '\\']) else {
            return (text.len(), Some(Open::Statement));
        };
        rest = &rest[at..];
        let quote = rest.chars().next().unwrap_or_default();
        let is_closed = match quote {
            ';' => return (text.len() - rest.len(), None),
            '\\' if is_about_statement(rest) => return (text.len() - rest.len(), None),
            '\'' | '"' => {
                if !skip(&mut rest, 1, &quote.to_string()) {
                    return (text.len(), Some(Open::Quote(quote)));
                }
                true
            }
            '-' if rest.starts_with("--") => skip(&mut rest, 2, "\n"),
            '/' if rest.starts_with("/*") => skip(&mut rest, 2, "*/"),
            '$' => match rest[1..].find('$').map(|length| &rest[..length + 2]) {
                Some(tag) if tag[1..tag.len() - 1].chars().all(|c| c.is_alphanumeric() || c == '_') => {
                    let tag = tag.to_owned();
                    skip(&mut rest, tag.len(), &tag)
                }
                _ => {
                    rest = &rest[1..];
                    true
                }
            },
            _ => {
                rest = &rest[1..];
                true
            }
        };
        if !is_closed {
            return (text.len(), Some(Open::Statement));
        }
    }
}

/// The commands of a text of several lines, such as a pasted one: one per line, unless an open quote or a backslash
/// at the end continues the line.
pub(super) fn commands(text: &str) -> Vec<&str> {
    let mut commands = Vec::new();
    let mut rest = text;
    loop {
        // Lexed again from each break, because a backslash command is recognised at the beginning of a line.
        let Some((end, next)) = Lexer::read(rest, 1).breaks.first().copied() else {
            commands.push(rest);
            break;
        };
        commands.push(&rest[..end]);
        rest = rest[next..].trim_start_matches(' ');
    }
    commands.retain(|command| !command.trim().is_empty());
    commands
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn token(&mut self, token: &mut Token) -> Option<Open> {
        while let Some(next) = self.peek() {
            match next {
                ' ' | '\t' | '\r' | '\n' => return None,
                '\'' | '"' => {
                    self.at += 1;
                    token.is_quoted = true;
                    if !self.quoted(next, &mut token.text) {
                        return Some(Open::Quote(next));
                    }
                }
                '\\' => {
                    self.at += 1;
                    match self.next() {
                        None => return Some(Open::Backslash),
                        Some('\n') if self.at == self.text.len() => return Some(Open::Backslash),
                        Some('\n') => {}
                        Some(escaped) => {
                            token.is_quoted = true;
                            token.text.push(escaped);
                        }
                    }
                }
                _ => {
                    self.at += next.len_utf8();
                    token.text.push(next);
                }
            }
        }
        None
    }

    /// Reads up to the closing quote; false if there is none.
    fn quoted(&mut self, quote: char, out: &mut String) -> bool {
        while let Some(next) = self.next() {
            if next == quote {
                return true;
            }
            if next == '\\' && quote == '"' {
                match self.next() {
                    None => return false,
                    Some('\n') => {}
                    Some(escaped @ ('$' | '`' | '"' | '\\')) => out.push(escaped),
                    Some(other) => out.extend(['\\', other]),
                }
                continue;
            }
            out.push(next);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(text: &str) -> Vec<String> {
        Lexer::of(text).texts()
    }

    proptest! {
        #[test]
        fn tokens_are_the_words_of_a_shell(text in r##"[a\\ '"#$\n-]{0,24}"##) {
            // shlex makes a word of a backslash and newline between words, which a shell does not; and lines that
            // begin with a backslash are an extension. Not prop_assume, whose rejects end a run of many cases.
            if text.contains("\\\n") || text.trim_start().starts_with('\\') {
                return Ok(());
            }
            let lexer = Lexer::of(&text);
            match shlex::split(&text) {
                Some(theirs) => prop_assert_eq!((lexer.texts(), lexer.open), (theirs, None)),
                None => prop_assert!(lexer.open.is_some()),
            }
        }

        #[test]
        fn spans_cover_all_but_blanks(text in r##"[a\\ '"#é!\n-]{0,24}"##) {
            let lexer = Lexer::of(&text);
            let mut at = 0;
            let mut spans: Vec<_> = lexer.tokens.iter().map(|token| token.span.clone()).chain(lexer.comments).collect();
            spans.sort_by_key(|span| span.start);
            for span in spans {
                prop_assert!(span.start >= at && span.end > span.start && text.is_char_boundary(span.end));
                at = span.end;
            }
        }
    }

    #[test]
    fn quotes_and_continued_lines() {
        assert_eq!(texts("create-user --name 'Ann Lee' # hi"), ["create-user", "--name", "Ann Lee"]);
        assert_eq!(texts("a \\\n  b"), ["a", "b"]);
        assert_eq!(texts("a\\\nb ''"), ["ab", ""]);
        assert_eq!(Lexer::of("a 'b").open, Some(Open::Quote('\'')));
        assert_eq!(Lexer::of("a \\").open, Some(Open::Backslash));
        assert_eq!(Lexer::of("a \\\n").open, Some(Open::Backslash));
        assert_eq!(Lexer::of("a # it's").open, None);
    }

    #[test]
    fn a_line_that_begins_with_sql_is_a_statement_to_its_semicolon() {
        for (text, statement, open) in [
            ("SELECT 1;", "SELECT 1", None),
            ("  select ';' ; ", "select ';'", None),
            ("select 1", "select 1", Some(Open::Statement)),
            ("(select 1)\nunion\n(select \"a;\"\"b\")\n;", "(select 1)\nunion\n(select \"a;\"\"b\")", None),
            ("insert into t values ('O''Brien", "insert into t values ('O''Brien", Some(Open::Quote('\''))),
            ("select $a$;'$a$, $1 -- ;\n, 2 /* ; */;", "select $a$;'$a$, $1 -- ;\n, 2 /* ; */", None),
            ("delete from t -- ;", "delete from t -- ;", Some(Open::Statement)),
            ("explain (costs off) select 1;", "explain (costs off) select 1", None),
            ("with w as (select 1) table w;", "with w as (select 1) table w", None),
        ] {
            let lexer = Lexer::of(text);
            assert_eq!(
                (lexer.texts(), lexer.open),
                (vec!["sql".to_owned(), statement.into()], open),
                "{text}"
            );
        }
        for command in [
            "update-user 1",
            "delete-user 1",
            "explain count",
            "explain get-user 1",
            "explain table list",
            "table list",
            "selected",
            "watch 1 select",
        ] {
            assert_ne!(texts(command)[0], "sql", "{command}");
        }
        assert_eq!(
            commands("select 1; select\n2; count\nstatus"),
            ["select 1;", "select\n2;", "count", "status"]
        );
    }

    #[test]
    fn a_backslash_begins_a_command_as_in_psql() {
        assert_eq!(texts(" \\timing on"), ["\\timing", "on"]);
        assert_eq!(texts("\\q;"), ["\\q", ";"]);
        assert_eq!(texts("\\! echo 'a b' | wc"), ["\\!", "echo 'a b' | wc"]);
        assert_eq!(texts("\\!ls"), ["\\!", "ls"]);
    }

    #[test]
    fn a_pasted_text_has_one_command_per_line() {
        assert_eq!(commands("count\nget-user 1\n\n"), ["count", "get-user 1"]);
        assert_eq!(commands("sql 'a\nb'\n\\x\ncount"), ["sql 'a\nb'", "\\x", "count"]);
        assert_eq!(commands("count \\\n --by shard\nshards"), ["count \\\n --by shard", "shards"]);
        assert_eq!(commands("# it's\ncount"), ["# it's", "count"]);
    }
}
