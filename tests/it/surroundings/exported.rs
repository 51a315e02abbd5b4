//! What ringshard writes for other programs that stand between an application and the shards.

use std::fmt::Write as _;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use postgres::{Client, NoTls};

use crate::support::clusters::with_users;
use crate::support::harness::{Ran, Test};
use crate::support::proxy::{Cut, Proxy};

/// The shards of a test at ports of this machine.
struct Ports(Vec<Proxy>);

impl Ports {
    fn of(test: &Test) -> Self {
        Self((1..=3).map(|number| Proxy::new(&test.database(number), "never sent", Cut::Request)).collect())
    }

    /// Runs the program, which reaches the shards there.
    fn run(&self, test: &Test, words: &[&str]) -> Ran {
        let shards = (1..).zip(&self.0).map(|(number, proxy)| format!("shard_{number}={}", proxy.url()));
        let mut command = test.command();
        command.args(words).env("RINGSHARD_SHARDS", shards.collect::<Vec<_>>().join(" "));
        Ran::of(command.spawn().unwrap())
    }

    /// A text without what is new in each run: the cluster, the ports and the databases.
    fn stable(&self, test: &Test, text: &str) -> String {
        let mut text = text.replace(&test.cluster_id(1), "CLUSTER");
        for (number, proxy) in (1..).zip(&self.0) {
            let url = proxy.url();
            let port = url.rsplit_once(':').unwrap().1.split('/').next().unwrap();
            text = text.replace(port, &format!("PORT_{number}"));
            text = text.replace(&test.database(number), &format!("database_{number}"));
        }
        text
    }
}

#[test]
fn the_configuration_of_pgdog_asks_a_shard_for_the_owner() {
    let test = Test::initialised();
    let ports = Ports::of(&test);
    let written = ports.run(&test, &["ring", "export", "--format", "pgdog"]).success().stdout;
    insta::assert_snapshot!("pgdog", ports.stable(&test, &written));
    // The query gives the number of the shard as PgDog counts.
    let query = written.lines().find_map(|line| line.strip_prefix("lookup_query = \"")?.strip_suffix('"'));
    let row = test.client(2).query_one(query.unwrap(), &[&1_i64]).unwrap();
    let shard = usize::try_from(row.get::<_, i32>(0)).unwrap() + 1;
    assert_eq!(shard, crate::support::rings::owner(1));
    test.run(&["ring", "export", "--format", "pgdog"]).fails(78).says("`shard_1` is at the Unix socket");
}

#[test]
#[ignore = "needs PgDog 0.1.52 or later: PGDOG_BIN names its program"]
fn pgdog_reads_and_writes_on_the_owner() {
    let program = std::env::var_os("PGDOG_BIN").expect("PGDOG_BIN names the program of PgDog");
    let test = with_users(200);
    let ports = Ports::of(&test);
    let written = ports.run(&test, &["ring", "export", "--format", "pgdog"]).success().stdout;
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let general = format!("[general]\nhost = \"127.0.0.1\"\nport = {port}\n");
    let users = "[[users]]\nname = \"postgres\"\ndatabase = \"ringshard\"\npassword = \"x\"\n";
    std::fs::write(test.home.path().join("pgdog.toml"), written.replace("[general]\n", &general)).unwrap();
    std::fs::write(test.home.path().join("users.toml"), users).unwrap();
    let mut running = Command::new(program)
        .current_dir(test.home.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let url = format!("postgresql://postgres:x@127.0.0.1:{port}/ringshard?sslmode=disable");
    let begun = Instant::now();
    let mut client = loop {
        match Client::connect(&url, NoTls) {
            Ok(client) => break client,
            Err(cause) => assert!(begun.elapsed() < Duration::from_secs(20), "{cause:?}"),
        }
        thread::sleep(Duration::from_millis(50));
    };
    for id in 1..=200_i64 {
        let name = format!("through {id}");
        let count = client.execute("UPDATE users SET name = $1 WHERE user_id = $2", &[&name, &id]).unwrap();
        assert_eq!(count, 1, "user {id}");
        let row = client.query_one("SELECT name FROM users WHERE user_id = $1", &[&id]).unwrap();
        assert_eq!(row.get::<_, &str>(0), name);
    }
    running.kill().unwrap();
    running.wait().unwrap();
}

#[test]
fn libpq_connects_by_the_service_file() {
    let test = Test::initialised();
    let ports = Ports::of(&test);
    let file = test.home.path().join("services");
    let connect = |number: usize, written: &str| {
        std::fs::write(&file, written).unwrap();
        let psql = Command::new("psql")
            .args([&format!("service=shard_{number}"), "-XAtc", "SELECT current_database()"])
            .env("PGSERVICEFILE", &file)
            .output()
            .unwrap();
        assert!(psql.status.success(), "{}", String::from_utf8_lossy(&psql.stderr));
        assert_eq!(String::from_utf8(psql.stdout).unwrap().trim_end(), test.database(number));
    };
    for number in 1..=3 {
        connect(number, &test.run(&["shards", "--service-file"]).success().stdout);
    }
    let written = ports.run(&test, &["shards", "--service-file"]).success().stdout;
    connect(2, &written);
    assert!(written.contains("sslmode=disable\n"), "{written}");

    // No shard has to answer, and the file has no password.
    let shards = "a=postgresql://u:hunter2@h1:1,h2:2/d?sslmode=require&options=-c%20x.y%3D1&passfile=/p";
    let write = |shards: &str| {
        let mut command = test.command();
        command.args(["shards", "--service-file"]).env("RINGSHARD_SHARDS", shards);
        Ran::of(command.spawn().unwrap())
    };
    let written = write(shards).success().stdout;
    let services = written.split_once("\n\n").unwrap().1;
    let expected =
        "[a]\ndbname=d\nhost=h1,h2\noptions=-c x.y=1\npassfile=/p\nport=1,2\nsslmode=require\nuser=u\n";
    assert_eq!(services, expected);
    write("a=postgresql://u@h/d%20").fails(78).says("`dbname` of `a` begins or ends with a blank");
}

#[test]
fn haproxy_leads_to_the_primary_of_each_shard() {
    let test = Test::initialised();
    let ports = Ports::of(&test);
    let mut config = String::new();
    for (number, proxy) in (1..).zip(&ports.0) {
        let _ = write!(config, "[shards.shard_{number}]\nurl = \"{}\"\n", proxy.url());
        if number == 2 {
            config += "replicas = [\"postgresql://u@[::1]:7/d\", \"postgresql://u:hunter2@h1:1,h2:2/d\"]\n";
        }
    }
    std::fs::write(test.home.path().join("tcp.toml"), config).unwrap();
    let written = test.run(&["--config", "tcp.toml", "shards", "--haproxy"]).success().stdout;
    // The startup packet has the name of the database, which is new in each run.
    let hex = |text: &str| text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mut startups = Vec::new();
    let lines = written.lines().map(|line| match line.split_once("send-binary 0000") {
        Some((before, packet)) => {
            startups.push(packet);
            format!("{before}send-binary STARTUP")
        }
        None => line.to_owned(),
    });
    let stable = ports.stable(&test, &lines.collect::<Vec<_>>().join("\n"));
    for (number, startup) in (1..).zip(startups) {
        assert!(startup.contains(&hex(&test.database(number))), "{startup}");
    }
    insta::assert_snapshot!("haproxy", stable);
    test.run(&["shards", "--haproxy"]).fails(78).says("`shard_1` is at the Unix socket");
    test.run(&["shards", "--haproxy", "--service-file"]).fails(2);
}
