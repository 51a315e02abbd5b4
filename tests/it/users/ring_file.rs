//! The cached ring: a process that finds it wrong, damaged or outdated asks once more, and is right.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Stdio;

use ringshard::model::ring::Ring;
use ringshard::model::ring::position::Position;
use ringshard::model::ring::topology::{ShardSpec, Topology};
use ringshard::model::user::UserId;

use crate::support::catalogs::change_topology;
use crate::support::harness::{Ran, Test};
use crate::support::rings::shard_names;

/// So many virtual nodes that the ring is cached.
const NODES: u32 = 1_000;
/// The digest of the topology, before the records.
const HEAD: usize = 16;

/// A cluster with one user, whose ring is cached, and the file.
fn cached() -> (Test, PathBuf) {
    let test = Test::new();
    let mut command = test.command();
    command.arg("init-shards").args(test.shard_flags()).args(["--vnodes", &NODES.to_string()]);
    Ran::of(command.spawn().unwrap()).success();
    test.run(&["create-user", "--id", "1", "--name", "x"]).success();
    let file = test.home.path().join(format!("state/ring-{}", test.cluster_id(1)));
    assert!(file.is_file());
    (test, file)
}

fn owner(ring: &Ring, id: i64) -> usize {
    let owner = ring.owner(Position::of_user(UserId::new(id))).as_str();
    owner.strip_prefix("shard_").unwrap().parse().unwrap()
}

/// The file with another owner for each arc.
fn with_wrong_owners(whole: &[u8]) -> Vec<u8> {
    let mut wrong = whole.to_vec();
    for record in wrong[HEAD..].chunks_exact_mut(20) {
        record[19] = (record[19] + 1) % 3;
    }
    wrong
}

#[test]
fn a_cached_ring_with_wrong_owners_costs_a_retry() {
    let (test, file) = cached();
    let ring = Topology::of_equals(NODES, shard_names(3)).unwrap().ring();
    let whole = fs::read(&file).unwrap();
    let wrong = with_wrong_owners(&whole);
    let is_stored = |id: i64| (1..=3).filter(|shard| test.ids(*shard).contains(&id)).collect::<Vec<_>>();
    for words in [
        "create-user --id 2 --name a",
        "get-user 2",
        "update-user 2 --name b",
        "create-user --id 3 --name c",
        "delete-user 3",
    ] {
        fs::write(&file, &wrong).unwrap();
        test.run(&words.split(' ').collect::<Vec<_>>()).success();
        assert!(!file.exists(), "{words} did not read the file, or kept it");
    }
    assert_eq!((is_stored(2), is_stored(3)), (vec![owner(&ring, 2)], vec![]));
    assert_eq!(test.run(&["get-user", "2"]).success().fields()[0][1], "b");
    assert_eq!(fs::read(&file).unwrap(), whole);

    // A process that goes on until it uses the fast path.
    fs::write(&file, &wrong).unwrap();
    let mut script = test.command().args(["-f", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    for id in 10..60 {
        let lines = format!("get-user 2\ncreate-user --id {id} --name x\nget-user {id}\n");
        script.stdin.as_mut().unwrap().write_all(lines.as_bytes()).unwrap();
    }
    assert_eq!(Ran::of(script).success().fields().len(), 150);
    for id in 10..60 {
        assert_eq!(is_stored(id), [owner(&ring, id)]);
    }
    test.run(&["verify"]).success();
}

#[test]
fn a_damaged_or_outdated_cached_ring_is_made_anew() {
    let (test, file) = cached();
    let whole = fs::read(&file).unwrap();
    let other_digest = [&[0; HEAD], &whole[HEAD..]].concat();
    let cut = &whole[..whole.len() - 1];
    for damaged in [b"", &whole[..HEAD], cut, &other_digest, &[&whole[..HEAD], &[0xff; 20]].concat()] {
        fs::write(&file, damaged).unwrap();
        test.run(&["get-user", "1"]).success();
        // It was written anew, or removed and is written by the next process.
        test.run(&["update-user", "1", "--name", "y"]).success();
        assert_eq!(fs::read(&file).unwrap(), whole);
    }

    let weights = [4.0, 1.0, 1.0].map(|weight| weight.try_into().unwrap());
    let specs = shard_names(3).into_iter().zip(weights).map(|(name, weight)| ShardSpec { name, weight });
    let topology = Topology::new(NODES, specs.collect()).unwrap();
    change_topology(&test, 2, &topology);
    let ring = topology.ring();
    for id in 100..110 {
        test.run(&["create-user", "--id", &id.to_string(), "--name", "x"]).success();
        assert!(test.ids(owner(&ring, id)).contains(&id));
    }
    assert_ne!(fs::read(&file).unwrap()[..HEAD], whole[..HEAD]);
}
