//! Reads from standbys, with streaming replication.

use crate::support::servers::Servers;

/// Writes the standby of shard 2 into the configuration.
fn configure(servers: &Servers, url: &str) {
    let path = servers.home().join("ringshard.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let head = "[shards.shard_2]\n";
    assert!(text.contains(head), "{text}");
    std::fs::write(&path, text.replace(head, &format!("{head}replicas = [\"{url}\"]\n"))).unwrap();
}

#[test]
fn reads_go_to_a_standby_only_when_allowed() {
    let servers = Servers::initialised(3);
    for id in ["1", "4", "9"] {
        servers.run(&["create-user", "--id", id, "--name", "x"]).success();
    }
    let standby = servers.standby_of(2);
    standby.wait_until_caught_up(&mut servers.client(2));
    configure(&servers, &format!("{}&password=hunter2", standby.url()));
    let stale = "the data of shard `shard_2` came from its replica";
    // While the primary is up, only `always` reads from the standby.
    for (when, is_stale) in [("never", false), ("auto", false), ("always", true)] {
        let ran = servers.run(&["get-user", "1", "--read-replica", when, "-o", "csv"]).success();
        assert_eq!(
            (ran.stdout.as_str(), ran.stderr.contains(stale)),
            ("user_id,name,region,email\n1,x,,\n", is_stale)
        );
    }
    standby.pause(true);
    servers.run(&["update-user", "1", "--name", "y"]).success();
    let get =
        |when: &str| servers.run(&["get-user", "1", "--read-replica", when, "-o", "csv", "--no-header"]);
    assert_eq!(
        (get("auto").success().stdout.as_str(), get("always").success().stdout.as_str()),
        ("1,y,,\n", "1,x,,\n")
    );
    standby.pause(false);
    standby.wait_until_caught_up(&mut servers.client(2));
    servers.crash(2);
    get("never").fails(69).says("shard_2");
    let ran = get("auto").success();
    assert_eq!(ran.stdout, "1,y,,\n");
    assert!(ran.stderr.contains(stale) && ran.stderr.contains("may be stale"), "{ran:?}");
    assert!(!ran.stderr.contains("hunter2"), "{ran:?}");
    // Reads of all shards, and a session that changes the setting.
    servers.run(&["count"]).fails(69);
    let ran = servers.run(&["count", "--read-replica", "auto"]).success();
    assert!(ran.stdout == "3\n" && ran.stderr.contains(stale), "{ran:?}");
    let ran =
        servers.run(&["-c", "set read-replica auto", "-c", "list-users -o csv --no-header", "-c", "count"]);
    assert_eq!(ran.success().stdout, "1,y,,\n4,x,,\n9,x,,\n3\n");
    servers.run(&["sql", "SELECT count(*) FROM users", "--read-replica", "auto"]).success();
    // Writes never go there.
    for words in [
        &["update-user", "1", "--name", "z"][..],
        &["create-user", "--id", "7", "--name", "z"],
        &["delete-user", "1", "-y"],
    ] {
        let ran = servers.run(&[words, &["--read-replica", "always"]].concat());
        assert!(ran.code == if words[0] == "create-user" { 0 } else { 69 }, "{ran:?}");
    }
    servers.write("f.csv", b"user_id\n5\n");
    servers.run(&["import", "f.csv", "--read-replica", "always"]).fails(69);
    servers.start(2);
    let ran = get("auto").success();
    assert!(ran.stdout == "1,y,,\n" && ran.stderr.is_empty(), "{ran:?}");
}
