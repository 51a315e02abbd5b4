//! The statements of a change: split, and those refused that would break it.

use super::lexer::{Token, TokenKind, tokens};

/// One statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The text, without the semicolon.
    pub text: String,
    /// The line in the text of the change, from 1.
    pub line: usize,
    /// Set if it cannot run in a transaction.
    pub alone: Option<Alone>,
}

/// A statement that cannot run in a transaction, as far as its interruption matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Alone {
    /// `CREATE INDEX CONCURRENTLY`. An interruption leaves an invalid index.
    CreateIndex {
        /// The name, as written.
        index: String,
        /// The table, as written.
        table: String,
    },
    /// `DROP INDEX CONCURRENTLY`. An interruption leaves an invalid index.
    DropIndex {
        /// The name, as written.
        index: String,
    },
    /// `REINDEX`, with `CONCURRENTLY` or of more than a table. An interruption leaves invalid indexes with other names.
    Reindex,
    /// `VACUUM`, which can be repeated.
    Vacuum,
}

/// Why a text is no change of the schema.
#[derive(Debug, PartialEq, Eq)]
pub struct Fault {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub why: String,
    /// What to do.
    pub hint: &'static str,
}

const NO_CONTROL: &str =
    "leave it out: on each shard all statements run in one transaction, which ringshard begins and commits";
const NOT_PSQL: &str =
    "schema apply takes SQL only: INSERT instead of COPY … FROM STDIN, and no commands of psql";

/// Splits a text into statements. Fails if it has none, or one that cannot be part of a change.
pub fn parse(text: &str) -> Result<Vec<Statement>, Fault> {
    let line_of = |at: usize| text[..at].matches('\n').count() + 1;
    let tokens = tokens(text).map_err(|at| Fault {
        line: line_of(at),
        why: "a quote or comment that begins here is not closed".into(),
        hint: "close it",
    })?;
    let mut statements = Vec::new();
    for tokens in split(&tokens) {
        let (first, last) = (tokens[0], tokens[tokens.len() - 1]);
        let line = line_of(first.start);
        let fail = |(why, hint): (String, &'static str)| Fault { line, why, hint };
        check(tokens).map_err(fail)?;
        let alone = alone(tokens).map_err(fail)?;
        let text = text[first.start..last.start + last.text.len()].to_owned();
        statements.push(Statement { text, line, alone });
    }
    if statements.is_empty() {
        return Err(Fault {
            line: 1,
            why: "there is no statement".into(),
            hint: "give at least one statement",
        });
    }
    match statements.iter().find(|statement| statement.alone.is_some()) {
        Some(statement) if statements.len() > 1 => Err(Fault {
            line: statement.line,
            why: "this statement cannot run in a transaction, so it cannot be part of a change with others"
                .into(),
            hint: "apply it as a change of its own",
        }),
        _ => Ok(statements),
    }
}

/// The tokens of each statement: semicolons within parentheses, and within the body of a SQL function, end none.
fn split<'t, 'a>(tokens: &'t [Token<'a>]) -> Vec<&'t [Token<'a>]> {
    let mut statements = Vec::new();
    let (mut begin, mut parentheses, mut blocks) = (0, 0_i32, 0);
    for (at, token) in tokens.iter().enumerate() {
        let has_body = |tokens: &[Token<'_>]| {
            tokens[0].is("create")
                && tokens.iter().take(4).any(|token| token.is("function") || token.is("procedure"))
        };
        match token {
            _ if token.is_sign("(") => parentheses += 1,
            _ if token.is_sign(")") => parentheses -= 1,
            _ if token.is("begin") && has_body(&tokens[begin..=at]) => blocks += 1,
            _ if token.is("case") && blocks > 0 => blocks += 1,
            _ if token.is("end") && blocks > 0 => blocks -= 1,
            _ if token.is_sign(";") && parentheses <= 0 && blocks == 0 => {
                statements.push(&tokens[begin..at]);
                (begin, parentheses) = (at + 1, 0);
            }
            _ => {}
        }
    }
    statements.push(&tokens[begin..]);
    statements.retain(|tokens| !tokens.is_empty());
    statements
}

/// Fails with the reason if a statement cannot be part of a change.
fn check(tokens: &[Token<'_>]) -> Result<(), (String, &'static str)> {
    let is = |at: usize, keyword: &str| tokens.get(at).is_some_and(|token| token.is(keyword));
    let first = &tokens[0];
    let controls = ["begin", "start", "commit", "end", "rollback", "abort", "savepoint", "release"];
    let is_control = controls.iter().any(|keyword| first.is(keyword))
        || (is(0, "prepare") && is(1, "transaction"))
        || (is(0, "set")
            && (is(1, "transaction")
                || ((is(1, "session") || is(1, "local"))
                    && (is(2, "transaction") || is(2, "characteristics")))));
    if is_control {
        return Err((format!("`{}` controls the transaction", first.text.to_uppercase()), NO_CONTROL));
    }
    if first.is_sign("\\") {
        return Err(("this is a command of psql".into(), NOT_PSQL));
    }
    if is(0, "copy") && tokens.iter().any(|token| token.is("stdin") || token.is("stdout")) {
        return Err(("COPY needs a client that sends or takes rows".into(), NOT_PSQL));
    }
    Ok(())
}

/// What a statement is that cannot run in a transaction.
fn alone(tokens: &[Token<'_>]) -> Result<Option<Alone>, (String, &'static str)> {
    let is = |at: usize, keyword: &str| tokens.get(at).is_some_and(|token| token.is(keyword));
    if is(0, "vacuum") {
        return Ok(Some(Alone::Vacuum));
    }
    if is(0, "reindex") {
        let of_many = ["concurrently", "schema", "database", "system"];
        let runs_alone = tokens.iter().any(|token| of_many.iter().any(|keyword| token.is(keyword)));
        return Ok(runs_alone.then_some(Alone::Reindex));
    }
    if is(0, "drop") && is(1, "index") && is(2, "concurrently") {
        let name = if is(3, "if") { 5 } else { 3 };
        return Ok(Some(Alone::DropIndex { index: name_of(&tokens[name.min(tokens.len())..]) }));
    }
    let index = if is(1, "unique") { 2 } else { 1 };
    if !(is(0, "create") && is(index, "index") && is(index + 1, "concurrently")) {
        return Ok(None);
    }
    let name = if is(index + 2, "if") { index + 5 } else { index + 2 };
    if is(name, "on") || tokens.len() <= name {
        return Err((
            "an index that is built concurrently needs a name".into(),
            "name it, so that an interrupted build can be found",
        ));
    }
    let on = tokens.iter().position(|token| token.is("on")).unwrap_or(tokens.len() - 1);
    let table = on + if is(on + 1, "only") { 2 } else { 1 };
    let table = name_of(&tokens[table.min(tokens.len())..]);
    Ok(Some(Alone::CreateIndex { index: tokens[name].text.to_owned(), table }))
}

/// The name that these tokens begin with, perhaps with its schema.
fn name_of(tokens: &[Token<'_>]) -> String {
    let is_name = |token: &Token<'_>| matches!(token.kind, TokenKind::Word | TokenKind::QuotedName);
    let mut name = String::new();
    for token in tokens {
        let begins = name.is_empty() || name.ends_with('.');
        if !(is_name(token) && begins || token.is_sign(".") && !begins) {
            break;
        }
        name.push_str(token.text);
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        parse(text).unwrap().into_iter().map(|statement| statement.text).collect()
    }

    fn why(text: &str) -> (usize, String) {
        let fault = parse(text).unwrap_err();
        (fault.line, fault.why)
    }

    #[test]
    fn semicolons_in_quotes_comments_and_bodies_end_no_statement() {
        let statements = [
            "SELECT 'a;''b', E'c\\';d', \"e;\"\"f\"",
            "DO $$ BEGIN x; END $$",
            "DO $b$ ;$$; $b$",
            "CREATE RULE r AS ON UPDATE TO t DO (a; b)",
            "CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE 1 WHEN 1 THEN 2 END; SELECT 1; END",
            "SELECT a$b$c, $1",
            "SELECT 1 /* ; /* ; */ ; */ + 2",
            "SELECT é",
        ];
        assert_eq!(texts(&statements.join(";\n-- it's;\n;")), statements);
        assert_eq!(parse("\n\n  SELECT 1;\nSELECT 2").unwrap()[1].line, 4);
    }

    #[test]
    fn what_would_break_the_transaction_is_refused_with_its_line() {
        for control in [
            "BEGIN",
            "start transaction",
            "Commit",
            "end",
            "ROLLBACK TO a",
            "savepoint a",
            "release a",
            "abort",
            "PREPARE TRANSACTION 'x'",
            "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
            "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
        ] {
            let (line, why) = why(&format!("SELECT 1;\n{control};"));
            assert!(line == 2 && why.contains("controls the transaction"), "{control}: {why}");
        }
        assert!(parse("SET lock_timeout = 0; PREPARE p AS SELECT 1; SELECT commit FROM t").is_ok());
        assert_eq!(
            why("SELECT 1;\n\nSELECT 'x"),
            (3, "a quote or comment that begins here is not closed".into())
        );
        assert_eq!(why(" -- nothing\n;").1, "there is no statement");
        assert_eq!(why("\\connect x").1, "this is a command of psql");
        assert!(why("COPY t FROM STDIN").1.starts_with("COPY"));
    }

    #[test]
    fn statements_that_run_alone_are_known() {
        let alone = |text: &str| parse(text).unwrap()[0].alone.clone();
        let built =
            |index: &str, table: &str| Some(Alone::CreateIndex { index: index.into(), table: table.into() });
        assert_eq!(alone("CREATE INDEX CONCURRENTLY i ON t (a)"), built("i", "t"));
        assert_eq!(
            alone("create unique index concurrently if not exists \"I\" on only s.\"T t\" using btree (a)"),
            built("\"I\"", "s.\"T t\"")
        );
        let dropped = |index: &str| Some(Alone::DropIndex { index: index.into() });
        assert_eq!(alone("DROP INDEX CONCURRENTLY IF EXISTS s.i CASCADE"), dropped("s.i"));
        assert_eq!(alone("DROP INDEX CONCURRENTLY i"), dropped("i"));
        assert_eq!(alone("REINDEX (CONCURRENTLY) TABLE t"), Some(Alone::Reindex));
        assert_eq!(alone("VACUUM ANALYZE t"), Some(Alone::Vacuum));
        for text in ["CREATE INDEX i ON t (a)", "DROP INDEX i", "REINDEX TABLE t", "ANALYZE t"] {
            assert_eq!(alone(text), None, "{text}");
        }
        assert!(why("CREATE INDEX CONCURRENTLY ON t (a)").1.contains("needs a name"));
        assert_eq!(why("SELECT 1;\nVACUUM t").0, 2);
    }
}
