//! PL/Proxy with the exported ring, in a proxy database on a server of its own.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use postgres::{Client, NoTls, Row};
use ringshard::local::PrivateServer;
use serde_json::Value;

use crate::support::clusters::with_users;
use crate::support::harness::{Test, private_server_of};
use crate::support::rebalances::{add_shard, start_slow_rebalance};
use crate::support::rings::owner;

const USERS: i64 = 2_000;
/// Each user of this many is written, the others are read.
const WRITTEN: i64 = 10;

/// The functions of a shard, as docs/plproxy.md has them.
const PROOF: &str = "PERFORM ringshard.require_owner(id);";
const ON_SHARDS: &str = "
CREATE FUNCTION get_name(id bigint) RETURNS SETOF text LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PROOF
    RETURN QUERY SELECT users.name::text FROM users WHERE users.user_id = id;
END $$;
CREATE FUNCTION set_name(id bigint, new_name text) RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    count bigint;
BEGIN
    PROOF
    UPDATE users SET name = new_name WHERE users.user_id = id;
    GET DIAGNOSTICS count = ROW_COUNT;
    RETURN count;
END $$;";
/// Those of the proxy: by the ring, and on the shard that an error names.
const ON_PROXY: &str = "
CREATE EXTENSION plproxy;
CREATE FUNCTION get_name(id bigint) RETURNS SETOF text LANGUAGE plproxy AS $$
    CLUSTER 'ringshard'; RUN ON ringshard.shard_number(id);
$$;
CREATE FUNCTION get_name_on(shard integer, id bigint) RETURNS SETOF text LANGUAGE plproxy AS $$
    CLUSTER 'ringshard'; RUN ON shard; SELECT * FROM get_name(id);
$$;
CREATE FUNCTION set_name(id bigint, new_name text) RETURNS bigint LANGUAGE plproxy AS $$
    CLUSTER 'ringshard'; RUN ON ringshard.shard_number(id);
$$;
CREATE FUNCTION set_name_on(shard integer, id bigint, new_name text) RETURNS bigint LANGUAGE plproxy AS $$
    CLUSTER 'ringshard'; RUN ON shard; SELECT * FROM set_name(id, new_name);
$$;";

/// The programs of a Postgres that has PL/Proxy.
fn programs() -> PathBuf {
    let all = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let with_plproxy = all.map(|found| found.path()).filter(|path| path.join("lib/plproxy.so").exists());
    with_plproxy.max().expect("scripts/test installs plproxy").join("bin")
}

/// A proxy database.
struct ProxyDatabase {
    server: PrivateServer,
    _watched: std::process::ChildStdin,
}

impl ProxyDatabase {
    /// One that leads to the shards of a test.
    fn new(test: &Test) -> Self {
        let (server, watched) = private_server_of("rsl", Some(&programs()));
        let proxy = Self { server, _watched: watched };
        proxy.load(test);
        proxy.client().batch_execute(ON_PROXY).unwrap();
        proxy
    }

    fn client(&self) -> Client {
        let mut config = postgres::Config::new();
        config.host_path(self.server.socket_dir()).user("postgres").dbname("postgres");
        config.connect(NoTls).unwrap()
    }

    /// Loads the ring that is in force.
    fn load(&self, test: &Test) {
        let sql = test.run(&["ring", "export", "--format", "plproxy"]).success().stdout;
        self.client().batch_execute(&sql).unwrap();
    }
}

/// A session of an application with the proxy, and how often a shard named another one.
struct Application {
    client: Client,
    redirected: usize,
}

impl Application {
    /// Calls a function about a user, on the shard of the ring and then on those that the errors name.
    fn call(&mut self, function: &str, id: i64, name: Option<&str>) -> Vec<Row> {
        let mut shard: Option<i32> = None;
        loop {
            let more = name.map_or(String::new(), |name| format!(", '{name}'"));
            let call = match shard {
                None => format!("SELECT * FROM {function}({id}{more})"),
                Some(shard) => format!("SELECT * FROM {function}_on({shard}, {id}{more})"),
            };
            let cause = match self.client.query(&call, &[]) {
                Ok(rows) => return rows,
                Err(cause) => cause,
            };
            let db = cause.as_db_error().unwrap();
            match db.code().code() {
                "RS001" => {
                    let detail = db.detail().unwrap();
                    let detail: Value = serde_json::from_str(&detail[detail.find('{').unwrap()..]).unwrap();
                    shard = Some(i32::try_from(detail["number"].as_i64().unwrap()).unwrap());
                    self.redirected += 1;
                }
                "RS002" => thread::sleep(Duration::from_millis(5)),
                _ => panic!("{cause:?}"),
            }
        }
    }

    /// Whether this user has this name.
    fn has(&mut self, id: i64, name: &str) -> bool {
        let found = self.call("get_name", id, None);
        found.len() == 1 && found[0].get::<_, &str>(0) == name
    }
}

/// What applications saw during a rebalance.
#[derive(Debug)]
struct Seen {
    reads: usize,
    wrong: usize,
    redirected: usize,
    /// The names that were acknowledged, and how many writes.
    written: BTreeMap<i64, String>,
    writes: usize,
}

/// Two readers and a writer through the proxy during a whole rebalance, while the ring is loaded again and again.
fn through_a_rebalance(test: &Test, proxy: &ProxyDatabase, proof: &str) -> Seen {
    add_shard(test, 4).success();
    for number in 1..=4 {
        test.execute(number, &ON_SHARDS.replace("PROOF", proof));
    }
    let is_over = AtomicBool::new(false);
    let wrong = AtomicUsize::new(0);
    let application = || Application { client: proxy.client(), redirected: 0 };
    let count = |is_right: bool| {
        wrong.fetch_add(usize::from(!is_right), Ordering::SeqCst);
    };
    let read = |first: i64| {
        let mut application = application();
        let mut reads = 0;
        for id in (1..=USERS).cycle().skip(usize::try_from(first).unwrap()).filter(|id| id % WRITTEN != 0) {
            if is_over.load(Ordering::SeqCst) {
                break;
            }
            count(application.has(id, &format!("Name {id}")));
            reads += 1;
        }
        (reads, application.redirected)
    };
    let write = || {
        let mut application = application();
        let (mut written, mut writes) = (BTreeMap::new(), 0);
        for id in (1..=USERS).filter(|id| id % WRITTEN == 0).cycle() {
            if is_over.load(Ordering::SeqCst) {
                break;
            }
            let name = format!("written {writes}");
            count(application.call("set_name", id, Some(&name))[0].get::<_, i64>(0) == 1);
            count(application.has(id, &name));
            written.insert(id, name);
            writes += 1;
        }
        (written, writes, application.redirected)
    };
    thread::scope(|scope| {
        let readers = [scope.spawn(|| read(0)), scope.spawn(|| read(USERS / 2))];
        let writer = scope.spawn(write);
        let mut rebalance = start_slow_rebalance(test, 150);
        let ended = loop {
            if let Some(ended) = rebalance.try_wait().unwrap() {
                break ended;
            }
            proxy.load(test);
            thread::sleep(Duration::from_millis(300));
        };
        is_over.store(true, Ordering::SeqCst);
        assert!(ended.success());
        let (written, writes, redirected) = writer.join().unwrap();
        let read = readers.map(|reader| reader.join().unwrap());
        Seen {
            reads: read[0].0 + read[1].0,
            wrong: wrong.load(Ordering::SeqCst),
            redirected: redirected + read[0].1 + read[1].1,
            written,
            writes,
        }
    })
}

#[test]
#[expect(clippy::print_stderr, reason = "how much was seen is part of the result")]
fn no_answer_through_plproxy_is_wrong_or_empty_during_a_rebalance() {
    let test = with_users(USERS);
    let proxy = ProxyDatabase::new(&test);
    let seen = through_a_rebalance(&test, &proxy, PROOF);
    eprintln!("{} reads, {} writes, {} redirected", seen.reads, seen.writes, seen.redirected);
    assert_eq!(seen.wrong, 0);
    assert!(seen.reads > 100 && seen.writes > 20 && seen.redirected > 0, "{seen:?}");
    test.run(&["verify", "--deep"]).success();
    // At rest, with the ring in force, no shard names another one.
    proxy.load(&test);
    let mut application = Application { client: proxy.client(), redirected: 0 };
    for id in 1..=USERS {
        let name = seen.written.get(&id).cloned().unwrap_or_else(|| format!("Name {id}"));
        assert!(application.has(id, &name), "user {id}");
    }
    assert_eq!(application.redirected, 0);
    // RUN ON ALL asks each shard once.
    test.execute(
        1,
        "CREATE FUNCTION all_users() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM users'",
    );
    for number in 2..=4 {
        test.execute(
            number,
            "CREATE FUNCTION all_users() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM users'",
        );
    }
    let all = "CREATE FUNCTION all_users() RETURNS SETOF bigint LANGUAGE plproxy AS $$ CLUSTER 'ringshard'; RUN ON ALL; $$";
    proxy.client().batch_execute(all).unwrap();
    let counts =
        proxy.client().query("SELECT count(*), sum(all_users)::bigint FROM all_users()", &[]).unwrap();
    assert_eq!((counts[0].get::<_, i64>(0), counts[0].get::<_, i64>(1)), (4, USERS));
}

#[test]
fn without_the_proof_answers_are_empty() {
    let test = with_users(USERS);
    let proxy = ProxyDatabase::new(&test);
    let seen = through_a_rebalance(&test, &proxy, "");
    assert!(seen.wrong > 0, "{} reads and {} writes", seen.reads, seen.writes);
}

#[test]
fn the_exported_functions_find_the_owner_of_a_key_of_each_type() {
    let test = Test::initialised();
    let proxy = ProxyDatabase::new(&test);
    let mut client = proxy.client();
    for id in (1..=50).chain([-1, i64::MAX]) {
        for key in [format!("'{id}'::bigint"), format!("'{id}'")] {
            let found = client.query_one(&format!("SELECT ringshard.shard_number({key})"), &[]).unwrap();
            assert_eq!(found.get::<_, i32>(0), i32::try_from(owner(id)).unwrap(), "{key}");
        }
    }
    let ids = "SELECT ringshard.shard_number('6F9619FF-8B86-D011-B42D-00C04FC964FF'::uuid) = \
               ringshard.shard_number('6f9619ff-8b86-d011-b42d-00c04fc964ff') AND ringshard.shard_number(7::smallint) > 0";
    assert!(client.query_one(ids, &[]).unwrap().get::<_, bool>(0));
    // In the database of a shard it would take the place of the shard's own functions.
    let sql = test.run(&["ring", "export", "--format", "plproxy"]).success().stdout;
    let cause = test.client(1).batch_execute(&sql).unwrap_err();
    assert!(
        cause.to_string().contains("db error") && format!("{cause:?}").contains("this database is a shard"),
        "{cause:?}"
    );
}
