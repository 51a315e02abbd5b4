//! Statements while rows move: reads are exact, and writes find their rows.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use ringshard::pg::sql::{Request, run};

use super::generator::Generator;
use super::shop::{SHARDS, Shop, cluster, rows_of};

#[test]
fn statements_agree_with_one_postgres_while_rows_move() {
    let mut shop = Shop::new();
    let mut generator = Generator::new(7);
    let mut compared = 0;
    // Away from a shard, onto a new one, away from that, and so on.
    let (mut number, mut is_there) = (SHARDS[2].1, true);
    while compared < 100 {
        let name = format!("s{}", number - 1);
        if is_there {
            shop.test().run(&["remove-shard", &name]).success();
            number += 1;
        } else {
            shop.test().run(&["add-shard", &name, &shop.test().url(number)]).success();
        }
        is_there = !is_there;
        let mut command = shop.test().command();
        command.args(["rebalance", "-y", "--chunk-rows", "4", "--max-rows-per-sec", "300"]);
        let mut mover = command.spawn().unwrap();
        while mover.try_wait().unwrap().is_none() {
            let generated = generator.next();
            let request = Request { sql: &generated.sql, gather: Some(100_000), ..Request::default() };
            let answer = run(&shop.cluster, &request).and_then(rows_of);
            let mut rows: Vec<Vec<String>> =
                answer.unwrap_or_else(|error| panic!("{}: {error:?}", generated.sql));
            let mut expected = shop.truth(&generated.sql).unwrap();
            if !generated.is_ordered {
                rows.sort();
                expected.sort();
            }
            assert_eq!(rows, expected, "{}", generated.sql);
            compared += 1;
        }
        assert!(mover.wait().unwrap().success());
    }
}

#[test]
fn writes_find_their_rows_while_they_move() {
    let shop = Shop::new();
    let (name, _) = SHARDS[2];
    shop.test().run(&["remove-shard", name]).success();
    let is_over = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..2)
        .map(|writer| {
            let (cluster, is_over) = (cluster(shop.test()), Arc::clone(&is_over));
            thread::spawn(move || {
                let mut rounds = 0;
                while !is_over.load(Ordering::SeqCst) || rounds == 0 {
                    rounds += 1;
                    for id in (-20..=180_i64).filter(|id| id.rem_euclid(2) == writer) {
                        let sql = format!("UPDATE users SET score = {rounds} WHERE user_id = {id}");
                        let answer = run(&cluster, &Request { sql: &sql, ..Request::default() }).unwrap();
                        assert!(answer.done.unwrap().starts_with("UPDATE 1 on shard"), "{sql}");
                        let sql = format!("SELECT score FROM users WHERE user_id = {id}");
                        let read =
                            run(&cluster, &Request { sql: &sql, ..Request::default() }).and_then(rows_of);
                        assert_eq!(read.unwrap(), [[format!("{rounds}.000")]], "{sql}");
                    }
                }
                rounds
            })
        })
        .collect();
    shop.test().run(&["rebalance", "-y", "--chunk-rows", "4", "--max-rows-per-sec", "300"]).success();
    is_over.store(true, Ordering::SeqCst);
    let rounds: Vec<i32> = writers.into_iter().map(|writer| writer.join().unwrap()).collect();
    let mut sums = rows_of(
        run(&shop.cluster, &Request { sql: "SELECT user_id % 2 = 0, min(score), max(score), count(*) FROM users GROUP BY 1 ORDER BY 1", ..Request::default() })
            .unwrap(),
    )
    .unwrap();
    for (row, rounds) in sums.drain(..).zip([rounds[1], rounds[0]]) {
        assert_eq!(row[1..3], [format!("{rounds}.000"), format!("{rounds}.000")]);
    }
}
