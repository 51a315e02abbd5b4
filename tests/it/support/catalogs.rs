//! Catalogs that a test changes or compares as a whole.

use ringshard::model::ring::arc::{Arc, check_tiling};
use ringshard::model::ring::position::Position;
use ringshard::model::ring::topology::Topology;

use super::harness::Test;
use super::rings::prototype_ring;

/// The arcs that a shard owns by its catalog.
fn arcs(test: &Test, number: usize) -> Vec<Arc> {
    let sql = "SELECT replace(first::text, '-', ''), replace(last::text, '-', '') FROM ringshard.arc \
               WHERE state = 'owned' ORDER BY first";
    let position = |text: &str| Position::new(u128::from_str_radix(text, 16).unwrap());
    let rows = test.query(number, sql, &[]);
    rows.iter().map(|row| Arc::new(position(row.get(0)), position(row.get(1)))).collect()
}

pub(crate) fn assert_catalogs_are_complete(test: &Test) {
    let ring = prototype_ring(3);
    let all: Vec<Vec<Arc>> = (1..=3).map(|number| arcs(test, number)).collect();
    assert_eq!(check_tiling(all.iter().flatten().copied()), Ok(()));
    for (name, own) in ring.shards().iter().zip(&all) {
        let of_ring: Vec<Arc> =
            ring.arcs().iter().filter(|owned| owned.shard == name).map(|owned| owned.arc).collect();
        assert_eq!(own, &of_ring, "{name}");
    }
    assert_eq!(test.cluster_id(1), test.cluster_id(2));
    assert_eq!(test.cluster_id(1), test.cluster_id(3));
    let index =
        "SELECT count(*) FROM pg_indexes WHERE tablename = 'users' AND indexname = 'idx_users_region'";
    let unchanged = "SELECT count(*) FROM ringshard.meta WHERE topology_md5 = md5(topology::text)::uuid";
    for number in 1..=3 {
        assert_eq!(test.query(number, index, &[])[0].get::<_, i64>(0), 1);
        assert_eq!(test.query(number, unchanged, &[])[0].get::<_, i64>(0), 1);
    }
}

/// Changes the catalog and the arcs of every shard to another topology, without moving rows.
pub(crate) fn change_topology(test: &Test, epoch: i64, topology: &Topology) {
    let ring = topology.ring();
    let text = serde_json::to_value(topology).unwrap();
    for number in 1..=3 {
        let name = format!("shard_{number}");
        let mut client = test.client(number);
        let mut change = client.transaction().unwrap();
        change.batch_execute("SELECT pg_advisory_xact_lock(7283001); DELETE FROM ringshard.arc").unwrap();
        change.execute("UPDATE ringshard.meta SET epoch = $1, topology = $2", &[&epoch, &text]).unwrap();
        for owned in ring.arcs().iter().filter(|owned| owned.shard.as_str() == name) {
            let hex = |position: Position| format!("{:032x}", position.number());
            let insert =
                "INSERT INTO ringshard.arc (first, last, epoch) VALUES ($1::text::uuid, $2::text::uuid, $3)";
            change.execute(insert, &[&hex(owned.arc.first()), &hex(owned.arc.last()), &epoch]).unwrap();
        }
        change.commit().unwrap();
    }
}

/// The SQL that fences one user, in transit to `target`, as a mover's first step does.
pub(crate) fn fence_user(id: i64, target: &str) -> String {
    format!(
        "UPDATE ringshard.meta SET topology_md5 = NULL; \
         WITH place AS (SELECT md5('{id}')::uuid AS at), \
              old AS (DELETE FROM ringshard.arc USING place WHERE first <= at AND last >= at RETURNING arc.*) \
         SELECT count(*) FROM old; \
         INSERT INTO ringshard.arc (first, last, state, epoch, transfer_to) \
         VALUES (md5('{id}')::uuid, md5('{id}')::uuid, 'fenced', 1, '{target}')"
    )
}
