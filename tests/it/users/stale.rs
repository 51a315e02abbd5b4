//! Clients that run while the ring changes: each notices it in its next command, and that command is right.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use ringshard::model::ring::position::Position;
use ringshard::model::ring::topology::Topology;
use ringshard::model::user::UserId;

use crate::support::catalogs::change_topology;
use crate::support::harness::{Ran, Test};
use crate::support::move_steps::{Chunk, announce, fence, purge, receive};
use crate::support::rings::{heavier_first_shard, id_that_moves, owner, shard_names};

/// A process that runs several commands.
struct Client {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Client {
    fn start(test: &Test) -> Self {
        let mut child = test.command().args(["-f", "-"]).stdin(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { input: child.stdin.take(), child, output }
    }

    /// Runs a command that prints one line.
    fn ask(&mut self, command: &str) -> String {
        writeln!(self.input.as_mut().unwrap(), "{command}").unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn ends(mut self) -> Ran {
        drop(self.input.take());
        Ran::of(self.child)
    }
}

#[test]
fn clients_notice_a_new_topology_by_its_epoch() {
    let test = Test::initialised();
    let (mut one, mut other) = (Client::start(&test), Client::start(&test));
    // Both know epoch 1, and have connections to every shard.
    for id in 1..=12 {
        one.ask(&format!("create-user --id {id} --name x"));
        assert_eq!(other.ask(&format!("get-user {id}")), format!("{id}\tx\t\\N\t\\N"));
    }
    let topology = heavier_first_shard();
    let ring = topology.ring();
    let (_, before, after) = id_that_moves(&ring);
    // Users of `before` in epochs 1 and 3, of `after` in epoch 2.
    let mut movers = (1_000..).filter(|id| {
        owner(*id) == before
            && ring.owner(Position::of_user(UserId::new(*id))).as_str() == format!("shard_{after}")
    });
    change_topology(&test, 2, &topology);
    let fresh = movers.next().unwrap();
    one.ask(&format!("create-user --id {fresh} --name new"));
    assert!(test.ids(after).contains(&fresh) && !test.ids(before).contains(&fresh));
    assert_eq!(other.ask(&format!("get-user {fresh}")), format!("{fresh}\tnew\t\\N\t\\N"));
    assert_eq!(other.ask(&format!("update-user {fresh} --region EU")), format!("{fresh}\tnew\tEU\t\\N"));
    assert_eq!(other.ask("count"), "13");
    // Back again: a client that has seen epoch 2 is as stale as one that has seen epoch 1.
    change_topology(&test, 3, &Topology::of_equals(100, shard_names(3)).unwrap());
    let last = movers.next().unwrap();
    other.ask(&format!("create-user --id {last} --name back"));
    assert!(test.ids(before).contains(&last));
    assert_eq!(one.ask(&format!("get-user {last}")), format!("{last}\tback\t\\N\t\\N"));
    for client in [one, other] {
        client.ends().success();
    }
}

#[test]
fn clients_find_an_arc_that_moved_in_an_unfinished_rebalance() {
    let test = Test::initialised();
    let (source, id) = (owner(7), 7);
    let target = source % 3 + 1;
    let mut client = Client::start(&test);
    client.ask("create-user --id 7 --name before");
    let (mut from, mut to) = (test.client(source), test.client(target));
    let chunk = Chunk::around(&mut from, id);
    announce(&test, 2);
    fence(&mut from, &chunk, target, 2);
    receive(&mut from, &mut to, &chunk, 2);
    // After the hand-over the source still has the row, but that of the target is valid.
    assert_eq!(client.ask("get-user 7"), "7\tbefore\t\\N\t\\N");
    purge(&mut from, &chunk);
    // The topology in force still names the source.
    assert_eq!(client.ask("update-user 7 --name after"), "7\tafter\t\\N\t\\N");
    assert_eq!(test.ids(target), [7]);
    assert_eq!(client.ask("get-user 7"), "7\tafter\t\\N\t\\N");
    client.ends().success();
    test.run(&["delete-user", "7"]).success();
    assert!(test.ids(target).is_empty());
}
