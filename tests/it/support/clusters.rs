//! Clusters with users in them, ready for a test.

use ringshard::bulk::FileFormat;

use super::harness::Test;
use super::rings::owner;
use super::servers::{Servers, Standby};
use super::user_files::{file_of, users, write};

/// A cluster of three shards with the imported users `1 .. end`.
pub(crate) fn filled(end: i64) -> Test {
    let test = Test::initialised();
    write(&test, "f.csv", file_of(&users(1..end), FileFormat::Csv));
    test.run(&["import", "f.csv"]).success();
    test
}

/// A cluster with the users `1..=count`; every third has no region.
pub(crate) fn with_users(count: i64) -> Test {
    let test = Test::initialised();
    fill(&test, count);
    test
}

pub(crate) fn fill(test: &Test, count: i64) {
    for number in 1..=3 {
        let ids: Vec<i64> = (1..=count).filter(|id| owner(*id) == number).collect();
        let sql = "INSERT INTO users SELECT id, 'Name ' || id, CASE WHEN id % 3 > 0 THEN (ARRAY['EU', 'US'])[id % 3] END, NULL \
                   FROM unnest($1::bigint[]) AS id";
        test.client(number).execute(sql, &[&ids]).unwrap();
    }
}

/// Three shards with users 1 to 200, and a registered standby of the second.
pub(crate) fn with_standby() -> (Servers, Standby) {
    let servers = Servers::filled();
    let standby = servers.standby_of(2);
    servers.run(&["replica", "add", "shard_2", &standby.url()]).success();
    standby.wait_until_caught_up(&mut servers.client(2));
    (servers, standby)
}

/// Ends the replication of a standby.
pub(crate) fn cut_off(standby: &Standby) {
    let mut client = standby.client();
    client.batch_execute("ALTER SYSTEM SET primary_conninfo = ''").unwrap();
    client.batch_execute("SELECT pg_reload_conf()").unwrap();
    while client.query_one("SELECT count(*) FROM pg_stat_wal_receiver", &[]).unwrap().get::<_, i64>(0) > 0 {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}
