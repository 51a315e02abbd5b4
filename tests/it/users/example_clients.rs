//! The example clients of `examples/`, through whole rebalances. `scripts/test` installs the drivers that they need, and names
//! their folder in `RINGSHARD_TEST_DRIVERS`.

use std::cell::RefCell;
use std::path::Path;
use std::process::{Command, Stdio};

use ringshard::bulk::FileFormat;
use ringshard::client::Client;

use crate::support::clusters::filled;
use crate::support::pooler::{Pooler, add_direct_urls};
use crate::support::rebalances::{add_shard, reads_of_a_long_run, rebalance_until, start_slow_rebalance};
use crate::support::user_files::{file_of, users, write};

/// A client, and the program that runs it.
struct Example {
    program: &'static str,
    /// The program's text, in `clients`.
    file: &'static str,
    /// The variable that names the folders of its libraries.
    path: &'static str,
    /// Where the client is.
    client: &'static str,
    /// Where its drivers are, below `RINGSHARD_TEST_DRIVERS`, and the last one of them.
    drivers: (&'static str, &'static str),
}

const PYTHON: Example = Example {
    program: "python3",
    file: "loop.py",
    path: "PYTHONPATH",
    client: "examples/python",
    drivers: ("python", "psycopg_pool"),
};
const SQLALCHEMY: Example =
    Example { file: "loop_sqlalchemy.py", drivers: ("python", "sqlalchemy"), ..PYTHON };
const JAVASCRIPT: Example = Example {
    program: "node",
    file: "loop.js",
    path: "NODE_PATH",
    client: "examples/node",
    drivers: ("node/node_modules", "pg"),
};

impl Example {
    /// The program with a file of `clients`; `None` where `scripts/test` could not install the drivers, which it says.
    #[expect(clippy::print_stderr, reason = "a test that checks nothing says so")]
    fn command(&self, file: &str) -> Option<Command> {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
        let (folder, last) = self.drivers;
        let drivers = std::env::var_os("RINGSHARD_TEST_DRIVERS").map(|all| Path::new(&all).join(folder));
        let Some(drivers) = drivers.filter(|folder| folder.join(last).is_dir()) else {
            eprintln!("no `{last}` for {}: scripts/test installs it", self.program);
            return None;
        };
        let mut command = Command::new(self.program);
        command
            .arg(repository.join("tests/it/users/clients").join(file))
            .env(self.path, std::env::join_paths([repository.join(self.client), drivers]).unwrap())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Some(command)
    }

    /// Reads and writes users while a shard is added, and in a long run removed and added until it has read so often. Returns how
    /// often it has read and written.
    fn through_rebalances(&self, least_reads: Option<usize>) -> Option<(usize, usize)> {
        let mut command = self.command(self.file)?;
        let test = filled(300);
        add_shard(&test, 4);
        let least = least_reads.unwrap_or(299).to_string();
        let mut running = command.args([&test.url(2), "299", &least]).spawn().unwrap();
        let ended = start_slow_rebalance(&test, 60).wait().unwrap();
        assert!(ended.success());
        drop(running.stdin.take());
        let running = RefCell::new(running);
        if least_reads.is_some() {
            rebalance_until(&test, || running.borrow_mut().try_wait().unwrap().is_some());
        }
        let output = running.into_inner().wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let printed = String::from_utf8(output.stdout).unwrap();
        let counts: Vec<usize> = printed.split_whitespace().map(|count| count.parse().unwrap()).collect();
        assert!(counts.len() == 2 && counts.iter().all(|count| *count >= 299), "{printed}");
        test.run(&["verify", "--deep"]).success();
        assert_eq!(test.run(&["count"]).success().stdout, "299\n");
        Some((counts[0], counts[1]))
    }

    #[expect(clippy::print_stderr, reason = "the figures are what a long run is for")]
    fn long_run(&self) {
        if let Some((reads, writes)) = self.through_rebalances(Some(reads_of_a_long_run())) {
            eprintln!("{}: {reads} reads, {writes} writes", self.file);
        }
    }
}

#[test]
fn the_client_in_python_misses_nothing() {
    PYTHON.through_rebalances(None);
}

#[test]
fn the_sessions_of_sqlalchemy_miss_nothing() {
    SQLALCHEMY.through_rebalances(None);
}

#[test]
fn the_client_in_javascript_misses_nothing() {
    JAVASCRIPT.through_rebalances(None);
}

#[test]
#[ignore = "takes minutes"]
fn the_client_in_python_misses_nothing_in_a_long_run() {
    PYTHON.long_run();
}

#[test]
#[ignore = "takes minutes"]
fn the_sessions_of_sqlalchemy_miss_nothing_in_a_long_run() {
    SQLALCHEMY.long_run();
}

#[test]
#[ignore = "takes minutes"]
fn the_client_in_javascript_misses_nothing_in_a_long_run() {
    JAVASCRIPT.long_run();
}

/// Each backend of the pooler serves several clients, in transaction mode one after the other.
#[test]
fn the_clients_miss_nothing_behind_a_connection_pooler() {
    for mode in ["session", "transaction"] {
        let pooler = Pooler::start(mode, 12);
        let test = pooler.initialised();
        write(&test, "f.csv", file_of(&users(1..300), FileFormat::Csv));
        test.run(&["import", "f.csv"]).success();
        add_direct_urls(&test);
        let url = pooler.url(&test.database(2));
        // One after the other, as each changes the names.
        for (example, weight) in [(PYTHON, "2"), (SQLALCHEMY, "3"), (JAVASCRIPT, "1")] {
            let Some(mut command) = example.command(example.file) else { continue };
            let mut running = command.args([&url, "299", "299", "pooled"]).spawn().unwrap();
            test.run(&["add-shard", "shard_2", "--weight", weight]).success();
            assert!(start_slow_rebalance(&test, 400).wait().unwrap().success());
            drop(running.stdin.take());
            let output = running.wait_with_output().unwrap();
            assert!(output.status.success(), "{mode}: {}", String::from_utf8_lossy(&output.stderr));
        }
        let rust = Client::connect([url]).unwrap();
        for id in 1..300_i64 {
            let written: String = rust
                .with_key(id, |tx| -> Result<String, Box<dyn std::error::Error>> {
                    tx.execute("UPDATE users SET name = $2 WHERE user_id = $1", &[&id, &format!("r{id}")])?;
                    Ok(tx.query_one("SELECT name FROM users WHERE user_id = $1", &[&id])?.get(0))
                })
                .unwrap();
            let read = rust.get(id, "SELECT name FROM users WHERE user_id = $1", &[&id]).unwrap();
            assert_eq!(
                (written.as_str(), read[0].get::<_, &str>(0)),
                (&*format!("r{id}"), &*format!("r{id}"))
            );
        }
        test.run(&["verify", "--deep"]).success();
    }
}

/// What `refused.py` checks: an answer of a shard that does not own the key never arrives.
#[test]
fn the_client_in_python_returns_no_answer_without_a_proof() {
    let Some(mut command) = PYTHON.command("refused.py") else { return };
    let test = filled(300);
    let output = command.args([test.url(1), test.url(2)]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
