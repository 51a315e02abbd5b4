//! A cluster as the matrix sees it: what is stored, apart from what the program says, and how it gets back to where it was.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use postgres::{Client, Row};

use super::rows::Before;
use crate::support::harness::{Ran, Test};
use crate::support::servers::Servers;

/// Name, region and email.
pub(super) type Fields = (Option<String>, Option<String>, Option<String>);
pub(super) type Users = BTreeMap<i64, Fields>;

/// A user as a line of TSV.
pub(super) fn tsv(id: i64, fields: &Fields) -> String {
    let of = |field: &Option<String>| field.clone().unwrap_or_else(|| "\\N".to_owned());
    format!("{id}\t{}\t{}\t{}\n", of(&fields.0), of(&fields.1), of(&fields.2))
}

/// What both kinds of the tests' clusters can do.
pub(super) trait Cluster {
    fn home(&self) -> &Path;
    /// The program in that home.
    fn command(&self) -> Command;
    fn client(&self, number: usize) -> Client;
    fn url(&self, number: usize) -> String;
    fn query(&self, number: usize, sql: &str) -> Vec<Row> {
        self.client(number).query(sql, &[]).unwrap()
    }
}

impl Cluster for Test {
    fn home(&self) -> &Path {
        self.home.path()
    }
    fn command(&self) -> Command {
        self.command()
    }
    fn client(&self, number: usize) -> Client {
        self.client(number)
    }
    fn url(&self, number: usize) -> String {
        self.url(number)
    }
}

impl Cluster for Servers {
    fn home(&self) -> &Path {
        self.home()
    }
    fn command(&self) -> Command {
        self.command()
    }
    fn client(&self, number: usize) -> Client {
        self.client(number)
    }
    fn url(&self, number: usize) -> String {
        self.url(number)
    }
}

/// A cluster, and its topology at the beginning.
pub(super) struct World<'a> {
    pub(super) cluster: &'a dyn Cluster,
    pub(super) shards: usize,
    topology: String,
    /// What it was brought into last.
    last: Cell<Before>,
}

impl<'a> World<'a> {
    pub(super) fn new(cluster: &'a dyn Cluster, shards: usize) -> Self {
        let sql = "SELECT topology::text FROM ringshard.meta";
        let topology = cluster.client(1).query_one(sql, &[]).unwrap().get(0);
        Self { cluster, shards, topology, last: Cell::new(Before::Idle) }
    }

    /// Runs the program as nothing surrounds the shards, and asserts that it works.
    #[track_caller]
    fn run(&self, words: &[&str]) {
        Ran::of(self.cluster.command().args(words).spawn().unwrap()).success();
    }

    /// Every user on the shard that serves it. Asserts that exactly one does, and, unless a change is under way, that
    /// no other shard has its row.
    #[track_caller]
    pub(super) fn stored(&self, has_strays: bool) -> Users {
        let mut found: BTreeMap<i64, Vec<(Option<String>, Fields)>> = BTreeMap::new();
        let sql = "SELECT user_id, name, region, email, \
                          (SELECT state FROM ringshard.arc WHERE md5(user_id::text)::uuid BETWEEN first AND last) \
                   FROM public.users";
        for number in 1..=self.shards {
            for row in self.cluster.query(number, sql) {
                let fields = (row.get(1), row.get(2), row.get(3));
                found.entry(row.get(0)).or_default().push((row.get(4), fields));
            }
        }
        let mut users = Users::new();
        for (id, rows) in found {
            let of =
                |state: &str| rows.iter().filter(|row| row.0.as_deref() == Some(state)).collect::<Vec<_>>();
            let serving = [of("owned"), of("fenced")].into_iter().find(|rows| !rows.is_empty());
            let serving = serving.unwrap_or_else(|| panic!("user {id} is served by no shard: {rows:?}"));
            assert_eq!(serving.len(), 1, "user {id}: {rows:?}");
            assert!(has_strays || rows.iter().all(|row| row.0.is_some()), "user {id}: {rows:?}");
            users.insert(id, serving[0].1.clone());
        }
        users
    }

    /// The number of the shard that has a user.
    pub(super) fn shard_of(&self, id: i64) -> usize {
        let sql = "SELECT count(*) FROM public.users WHERE user_id = $1";
        let has = |number: &usize| {
            self.cluster.client(*number).query_one(sql, &[&id]).unwrap().get::<_, i64>(0) > 0
        };
        (1..=self.shards).find(has).unwrap()
    }

    /// Whether the copy of user 1 is where it does not belong.
    pub(super) fn is_misplaced(&self) -> bool {
        let sql = "SELECT count(*) FROM public.users WHERE user_id = 1";
        self.cluster.client(1).query_one(sql, &[]).unwrap().get::<_, i64>(0) > 0
    }

    /// Of each shard: whether a change is under way there, whether one is planned, and its topology.
    fn states(&self) -> Vec<(bool, bool, String)> {
        let sql = "SELECT status <> 'done', desired_topology IS NOT NULL, topology::text FROM ringshard.meta";
        let state = |number| {
            let row = &self.cluster.query(number, sql)[0];
            (row.get(0), row.get(1), row.get(2))
        };
        (1..=self.shards).map(state).collect()
    }

    /// Whether the first topology is in force, and nothing is under way.
    pub(super) fn is_as_it_was(&self) -> bool {
        self.states().iter().all(|(is_pending, _, topology)| !is_pending && *topology == self.topology)
    }

    /// Whether a cluster that was brought there is still there.
    pub(super) fn is_still(&self, before: Before) -> bool {
        if self.last.get() != before {
            return false;
        }
        let states = self.states();
        let is_pending = states.iter().all(|state| state.0);
        let is_asked_for = states.iter().any(|state| state.1);
        match before {
            Before::Idle => self.is_as_it_was() && !is_asked_for,
            Before::Planned => self.is_as_it_was() && is_asked_for,
            Before::UnderWay => is_pending,
            Before::Misplaced => false,
        }
    }

    /// Brings it where a command begins.
    pub(super) fn arrange(&self, before: Before) {
        if self.is_still(before) {
            return;
        }
        self.settle();
        self.last.set(before);
        match before {
            Before::Idle => {}
            Before::Planned => self.run(&["add-shard", "shard_2", "--weight", "3"]),
            Before::UnderWay => {
                self.run(&["add-shard", "shard_2", "--weight", "3"]);
                let mut command = self.cluster.command();
                command.args(["rebalance", "-y", "--chunk-rows", "4", "--jobs", "1"]);
                let ran = Ran::of(command.env("RINGSHARD_CRASH", "after-receive:3").spawn().unwrap());
                assert_eq!(ran.code, -1, "it was not killed: {ran:?}");
            }
            Before::Misplaced => {
                let copy = "INSERT INTO public.users VALUES (1, 'Misplaced', NULL, NULL)";
                self.cluster.client(1).batch_execute(copy).unwrap();
            }
        }
    }

    /// Brings it back to where it was.
    fn settle(&self) {
        // An import that was refused in the middle could go on, and nothing moves before it does.
        for number in 1..=self.shards {
            self.cluster.query(number, "DELETE FROM ringshard.import");
        }
        if self.last.get() == Before::Misplaced {
            let sql = "DELETE FROM public.users WHERE user_id = 1; DELETE FROM ringshard.quarantine";
            self.cluster.client(1).batch_execute(sql).unwrap();
        }
        if !self.is_as_it_was() {
            self.run(&["rebalance", "-y"]);
        }
        if !self.is_as_it_was() {
            self.run(&["add-shard", "shard_2", "--weight", "1"]);
            self.run(&["rebalance", "-y"]);
        }
        if self.last.get() == Before::UnderWay {
            // A purge may have left rows behind.
            self.run(&["verify", "--fix", "-y"]);
        }
        if self.states().iter().any(|state| state.1) {
            for number in 1..=self.shards {
                let sql = "UPDATE ringshard.meta SET desired_topology = NULL";
                self.cluster.client(number).batch_execute(sql).unwrap();
            }
        }
        assert!(self.is_as_it_was());
    }
}
