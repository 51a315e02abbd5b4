//! The rows of the matrix: the commands, what each changes if it works, and what it then answers.

use std::ops::RangeInclusive;

use super::world::{Users, World, tsv};
use crate::support::harness::Ran;

/// What a cluster is brought into before the command runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Before {
    /// Nothing is planned or under way.
    Idle,
    /// `shard_2` is to get more weight.
    Planned,
    /// The same change is under way, and its process was killed.
    UnderWay,
    /// A copy of user 1 lies on a shard that does not own it.
    Misplaced,
}

/// A command.
pub(super) struct Row {
    /// Its name in the matrix.
    pub(super) name: &'static str,
    /// Its words; `{1}` and so on stand for the URL of a shard's database.
    pub(super) words: &'static [&'static str],
    pub(super) before: Before,
    /// What it makes of the users if it works.
    pub(super) effect: fn(&mut Users),
    /// The ids of users that it may add, with any fields.
    pub(super) random: RangeInclusive<i64>,
    /// Whether it may store a part if it is refused, and says so.
    pub(super) is_in_parts: bool,
    /// Checks the answer against the users after it.
    pub(super) answer: fn(&Ran, &Users, &World<'_>),
    /// Why it is refused whatever surrounds the shards.
    pub(super) reasons: &'static [(i32, &'static str)],
}

#[expect(clippy::reversed_empty_ranges, reason = "no user")]
const READ: Row = Row {
    name: "",
    words: &[],
    before: Before::Idle,
    effect: |_| {},
    random: 1..=0,
    is_in_parts: false,
    answer: |_, _, _| {},
    reasons: &[],
};

/// The file of an import, and that of another with other names.
pub(super) const FILES: [(&str, &str); 2] = [("f.csv", "First"), ("g.csv", "Second")];
pub(super) const IMPORTED: RangeInclusive<i64> = 2001..=2020;
pub(super) const SCRIPT: &str =
    "create-user --id 1101 --name Script\ncreate-user --id 1102 --name Script\nget-user 1101\n";

fn named(users: &mut Users, ids: impl IntoIterator<Item = i64>, name: &str) {
    users.extend(ids.into_iter().map(|id| (id, (Some(name.to_owned()), None, None))));
}

fn lines(users: &Users) -> String {
    users.iter().map(|(id, fields)| tsv(*id, fields)).collect()
}

/// All commands. Users 1 to 3, 1001, 1101 and 1102 belong to `shard_2`, where most surroundings are.
pub(super) const ROWS: &[Row] = &[
    Row {
        name: "get-user",
        words: &["get-user", "1"],
        answer: |ran, users, _| assert_eq!(ran.stdout, tsv(1, &users[&1])),
        ..READ
    },
    Row {
        name: "create-user",
        words: &["create-user", "--id", "1001", "--name", "New"],
        effect: |users| named(users, [1001], "New"),
        answer: |ran, users, _| assert_eq!(ran.stdout, tsv(1001, &users[&1001])),
        ..READ
    },
    Row {
        name: "update-user",
        words: &["update-user", "2", "--name", "Changed"],
        effect: |users| users.get_mut(&2).unwrap().0 = Some("Changed".to_owned()),
        answer: |ran, users, _| assert_eq!(ran.stdout, tsv(2, &users[&2])),
        ..READ
    },
    Row {
        name: "delete-user",
        words: &["delete-user", "3"],
        effect: |users| drop(users.remove(&3)),
        answer: |ran, _, _| assert!(ran.stdout.starts_with("3\t"), "{ran:?}"),
        ..READ
    },
    Row {
        name: "list-users",
        words: &["list-users", "--limit", "10000"],
        answer: |ran, users, _| assert_eq!(ran.stdout, lines(users)),
        ..READ
    },
    Row {
        name: "count",
        words: &["count"],
        answer: |ran, users, _| assert_eq!(ran.stdout, format!("{}\n", users.len())),
        ..READ
    },
    Row {
        name: "ring locate",
        words: &["ring", "locate", "1", "2"],
        answer: |ran, _, world| {
            for (fields, id) in ran.fields().iter().zip([1, 2]) {
                assert_eq!(fields[4], format!("shard_{}", world.shard_of(id)), "{ran:?}");
            }
        },
        ..READ
    },
    Row {
        name: "ring show",
        words: &["ring", "show"],
        answer: |ran, _, world| assert_eq!(ran.stdout.lines().count(), world.shards, "{ran:?}"),
        ..READ
    },
    Row {
        name: "explain",
        words: &["explain", "get-user", "1"],
        answer: |ran, _, world| {
            let owner = format!("shard_{}", world.shard_of(1));
            assert!(ran.stdout.contains(&owner), "{ran:?}");
        },
        ..READ
    },
    Row {
        name: "import",
        words: &["import", "f.csv"],
        effect: |users| named(users, IMPORTED, FILES[0].1),
        is_in_parts: true,
        ..READ
    },
    Row {
        name: "import, update",
        words: &["import", "g.csv", "--on-conflict", "update"],
        effect: |users| named(users, IMPORTED, FILES[1].1),
        is_in_parts: true,
        ..READ
    },
    Row {
        name: "export",
        words: &["export", "-", "-o", "csv"],
        answer: |ran, users, _| {
            let of = |field: &Option<String>| field.clone().unwrap_or_default();
            let line = |(id, fields): (&i64, &super::world::Fields)| {
                format!("{id},{},{},{}\n", of(&fields.0), of(&fields.1), of(&fields.2))
            };
            let all: String = users.iter().map(line).collect();
            assert_eq!(ran.stdout, format!("user_id,name,region,email\n{all}"));
        },
        ..READ
    },
    Row {
        name: "sql",
        words: &["sql", "SELECT count(*) FROM users"],
        answer: |ran, users, _| {
            assert_eq!(ran.stdout, format!("{}\n", users.len()), "{ran:?}");
        },
        ..READ
    },
    Row {
        name: "script",
        words: &["-f", "script"],
        effect: |users| named(users, [1101, 1102], "Script"),
        is_in_parts: true,
        answer: |ran, users, _| {
            let line = |id| tsv(id, &users[&id]);
            assert_eq!(ran.stdout, line(1101) + &line(1102) + &line(1101));
        },
        ..READ
    },
    Row {
        name: "load fill",
        words: &["load", "fill", "20", "--start", "3001"],
        effect: |users| named(users, 3001..=3020, ""),
        random: 3001..=3020,
        is_in_parts: true,
        ..READ
    },
    Row {
        name: "load run",
        words: &[
            "load",
            "run",
            "--users",
            "5..6",
            "--mix",
            "get=50,create=50",
            "--duration",
            "200ms",
            "--clients",
            "2",
            "--rate",
            "200",
        ],
        random: 3021..=i64::MAX,
        is_in_parts: true,
        // It counts the operations that fail, and says so.
        answer: |ran, _, _| {
            let has_created = ran.stdout.lines().any(|line| line.starts_with("create\t\\N\t"));
            assert!(has_created || ran.stderr.contains("warning: "), "{ran:?}");
        },
        ..READ
    },
    Row {
        name: "shards",
        words: &["shards"],
        answer: |ran, users, world| {
            let rows = ran.fields().iter().map(|fields| fields[1].parse::<usize>().unwrap()).sum::<usize>();
            assert_eq!(rows, users.len(), "{ran:?}");
            assert_eq!(ran.fields().len(), world.shards, "{ran:?}");
            assert!(ran.fields().iter().all(|fields| fields[5] == "active"), "{ran:?}");
        },
        ..READ
    },
    Row {
        name: "stats",
        words: &["stats", "--interval", "100ms"],
        answer: |ran, _, world| assert_eq!(ran.stdout.lines().count(), world.shards, "{ran:?}"),
        ..READ
    },
    Row {
        name: "report",
        words: &["report", "-"],
        answer: |ran, _, _| assert!(ran.stdout.contains("shard_2"), "{ran:?}"),
        ..READ
    },
    Row {
        name: "verify",
        words: &["verify", "--deep"],
        answer: |ran, users, _| {
            let rows = ran.fields().iter().map(|fields| fields[1].parse::<usize>().unwrap()).sum::<usize>();
            assert_eq!(rows, users.len(), "{ran:?}");
        },
        ..READ
    },
    Row {
        name: "verify --fix",
        words: &["verify", "--fix", "-y"],
        before: Before::Misplaced,
        answer: |_, _, world| assert!(!world.is_misplaced()),
        ..READ
    },
    Row { name: "doctor", words: &["doctor"], ..READ },
    Row { name: "init-shards", words: &["init-shards"], ..READ },
    Row { name: "add-shard", words: &["add-shard", "shard_4", "{4}"], ..READ },
    Row { name: "remove-shard", words: &["remove-shard", "shard_3"], ..READ },
    Row {
        name: "rebalance --dry-run",
        words: &["rebalance", "--dry-run"],
        before: Before::Planned,
        answer: |ran, _, _| assert!(ran.stdout.contains("shard_2"), "{ran:?}"),
        ..READ
    },
    Row {
        name: "rebalance status",
        words: &["rebalance", "status"],
        before: Before::UnderWay,
        answer: |ran, _, _| assert!(ran.stdout.starts_with("under way"), "{ran:?}"),
        ..READ
    },
    Row {
        name: "rebalance",
        words: &["rebalance", "-y"],
        before: Before::Planned,
        answer: |_, _, world| assert!(!world.is_as_it_was(), "nothing has changed"),
        ..READ
    },
    Row {
        name: "rebalance, resumed",
        words: &["rebalance", "-y"],
        before: Before::UnderWay,
        answer: |_, _, world| assert!(!world.is_as_it_was(), "nothing has changed"),
        ..READ
    },
    Row {
        name: "rebalance cancel",
        words: &["rebalance", "cancel", "-y"],
        before: Before::UnderWay,
        answer: |_, _, world| assert!(world.is_as_it_was(), "the change is still under way"),
        ..READ
    },
    Row { name: "replica list", words: &["replica", "list"], ..READ },
    Row {
        name: "replica add",
        words: &["replica", "add", "shard_1", "{1}"],
        reasons: &[(78, "accepts writes, so it is not a replica")],
        ..READ
    },
    Row {
        name: "promote",
        words: &["promote", "shard_1", "-y"],
        reasons: &[(5, "is not down: a server answers")],
        ..READ
    },
    Row { name: "drill kill", words: &["drill", "kill-connections", "shard_1", "-y"], ..READ },
    Row { name: "drill outage", words: &["drill", "outage", "shard_1", "--for", "100ms", "-y"], ..READ },
    Row {
        name: "drill slow",
        words: &["drill", "slow", "shard_1", "--delay", "1ms", "--for", "100ms", "-y"],
        ..READ
    },
    Row { name: "monitor", words: &["monitor"], reasons: &[(2, "needs a terminal")], ..READ },
];
