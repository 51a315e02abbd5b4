//! Generated statements agree with one Postgres that has the same rows, or are refused with a reason.

use ringshard::error::{Error, Kind};
use ringshard::model::sql;
use ringshard::model::sql::locality::analyse;
use ringshard::model::sql::merge::{Input, Kind as ColumnKind, Postgres, Split, split};
use ringshard::pg::sql::{Request, run};

use super::generator::{Generated, Generator};
use super::shop::{Shop, rows_of};
use crate::support::random::Random;

const STATEMENTS: usize = 1_000;
const SEED: u64 = 0x5EED_0017;

type Rows = Vec<Vec<String>>;

fn asked(shop: &Shop, sql: &str, gather: Option<u64>) -> Result<Rows, Error> {
    run(&shop.cluster, &Request { sql, gather, ..Request::default() }).and_then(rows_of)
}

fn is_refusal(error: &Error) -> bool {
    error.kind() == Kind::Usage && error.message().contains("cannot be split over the shards: ")
}

/// Compares an answer with the truth.
fn compare(shop: &mut Shop, generated: &Generated, answer: Result<Rows, Error>) {
    let sql = &generated.sql;
    match (shop.truth(sql), answer) {
        (Ok(mut expected), Ok(mut rows)) => {
            if !generated.is_ordered {
                expected.sort();
                rows.sort();
            }
            assert_eq!(rows, expected, "{sql}");
        }
        (Err(_), Err(_)) => {}
        (expected, answer) => panic!("{sql}\n{expected:?}\n{answer:?}"),
    }
}

/// Runs so many statements; returns how many are refused.
fn agree(shop: &mut Shop, seed: u64, statements: usize) -> usize {
    let mut generator = Generator::new(seed);
    let mut refused = 0;
    for _ in 0..statements {
        let generated = generator.next();
        let answer = match asked(shop, &generated.sql, None) {
            Err(error) if is_refusal(&error) => {
                refused += 1;
                asked(shop, &generated.sql, Some(100_000))
            }
            answer => answer,
        };
        compare(shop, &generated, answer);
    }
    refused
}

#[test]
fn statements_agree_with_one_postgres() {
    // Most shapes are split.
    assert!(agree(&mut Shop::new(), SEED, STATEMENTS) < STATEMENTS * 2 / 5);
}

#[test]
#[ignore = "takes minutes: cargo test --release --test it statements_of_many_seeds -- --ignored"]
fn statements_of_many_seeds_agree_with_one_postgres() {
    let mut shop = Shop::new();
    for seed in 1..=20 {
        agree(&mut shop, seed, STATEMENTS);
    }
}

/// Statements that were cut, doubled and mixed, and worse.
fn hostile(random: &mut Random, generator: &mut Generator) -> String {
    const PIECES: [&str; 24] = [
        "(",
        ")",
        "'",
        "\"",
        "$$",
        "--",
        "/*",
        ";",
        "SELECT",
        "FROM users",
        "GROUP BY ALL",
        "OVER ()",
        "0x1",
        "1e999",
        "E'\\'",
        "\u{0}",
        "LIMIT ALL",
        "::",
        "[",
        "\u{202e}é",
        "*",
        "WITH RECURSIVE users AS (",
        "UNION",
        "CUBE (1)",
    ];
    let mut text = generator.next().sql;
    for _ in 0..=random.below(4) {
        let boundaries: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        let at = boundaries.get(usize::try_from(random.below(1 + boundaries.len() as u64)).unwrap()).copied();
        let at = at.unwrap_or(text.len());
        match random.below(4) {
            0 => text.truncate(at),
            1 => text.insert_str(at, PIECES[usize::try_from(random.below(24)).unwrap()]),
            2 => text = format!("{text}{}", &text[at..]),
            _ => text.insert_str(at, &PIECES[usize::try_from(random.below(24)).unwrap()].repeat(300)),
        }
    }
    text
}

#[test]
fn hostile_statements_are_no_panic() {
    let shop = Shop::new();
    let (mut random, mut generator) = (Random(SEED), Generator::new(SEED));
    let long = |piece: &str| format!("SELECT {}1 FROM users", piece.repeat(100_000));
    let worse = [
        long("1 + "),
        long("("),
        long("NOT "),
        long("- "),
        long("a."),
        long("CASE WHEN "),
        long("1, "),
        "(".repeat(100_000),
    ];
    let view = shop.cluster.view();
    let mut understood = 0;
    for text in
        worse.into_iter().chain(std::iter::repeat_with(|| hostile(&mut random, &mut generator)).take(10_000))
    {
        if let Ok(statement) = sql::parse(&text)
            && let Some(query) = sql::query_of(&statement)
        {
            understood += 1;
            let found = analyse(view.topology.tables(), &["count", "sum"].map(Into::into).into(), query);
            let names: Vec<String> = (1..4).map(|n| format!("c{n}")).collect();
            let aggregates = ["count".to_owned(), "sum".to_owned()].into();
            for by_columns in [false, true] {
                let input = Input { query, facts: &found.facts, names: &names, aggregates: &aggregates };
                if let Ok(Split::Merge(merge)) = split(&input, by_columns, &mut NoColumns) {
                    let _ = merge.rest(&[ColumnKind::Bigint; 9]);
                }
            }
        }
    }
    assert!(understood > 1_000, "{understood}");
    // Some of them on the shards.
    let mut refused = 0;
    for _ in 0..200 {
        refused += usize::from(asked(&shop, &hostile(&mut random, &mut generator), None).is_err());
    }
    assert!(refused > 100, "{refused}");
}

struct NoColumns;

impl Postgres for NoColumns {
    fn is_column(&mut self, _: &str) -> bool {
        false
    }
}
