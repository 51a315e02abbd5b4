//! The library as a program uses it: a cluster in this process, and users to store.

use std::time::Duration;

use ringshard::local::PrivateServer;
use ringshard::model::ring::position::Position;
use ringshard::model::user::{User, UserId};
use ringshard::pg::cluster::Cluster;
use ringshard::pg::net::conninfo::ConnectionString;
use ringshard::pg::pool::{PoolOptions, Shards};

use super::harness::Test;
use super::rings::{prototype_ring, shard_names};

/// The cluster of these three URLs, with one connection to each and a known topology.
pub(crate) fn cluster_of(test: &Test, url: impl Fn(usize) -> String) -> Cluster {
    let entries =
        (1..=3).map(|number| (shard_names(3)[number - 1].clone(), ConnectionString::new(url(number))));
    let private = PrivateServer::at(Some(test.home.path()), None).unwrap();
    let options = PoolOptions { connect_timeout: Duration::from_secs(5), size: 1, statement_timeout: None };
    let cluster = Cluster::open(Shards::new(entries, private, options).unwrap(), None, None).unwrap();
    cluster.refresh().unwrap();
    cluster
}

pub(crate) fn cluster(test: &Test) -> Cluster {
    cluster_of(test, |number| test.url(number))
}

pub(crate) fn user(id: i64) -> User {
    let name = Some(format!("Name {id}"));
    User { user_id: UserId::new(id), name, region: Some("EU".into()), email: None }
}

pub(crate) fn users(ids: impl IntoIterator<Item = i64>) -> Vec<User> {
    ids.into_iter().map(user).collect()
}

/// The ids on all shards, sorted. Asserts that each is on its owner.
#[track_caller]
pub(crate) fn all_ids(test: &Test) -> Vec<i64> {
    let ring = prototype_ring(3);
    let mut all = Vec::new();
    for number in 1..=3 {
        for id in test.ids(number) {
            let owner = ring.owner(Position::of_user(UserId::new(id)));
            assert_eq!(owner.as_str(), format!("shard_{number}"), "user {id}");
            all.push(id);
        }
    }
    all.sort_unstable();
    all
}
