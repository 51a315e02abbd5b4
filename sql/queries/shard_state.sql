-- The state of a shard, for movers: what snapshot.sql reads, which the client puts in front of this as
-- `WITH snapshot AS (...)`, and the rest of `meta`. One row, one snapshot.
SELECT snapshot.*, meta.status, meta.topology, meta.next_topology, meta.participants, meta.desired_topology,
       meta.incarnation, meta.stale_endpoints, meta.topology_md5, pg_catalog.pg_is_in_recovery() AS is_standby,
       (SELECT pg_catalog.jsonb_object_agg(shard_endpoint.shard, pg_catalog.to_jsonb(shard_endpoint) - 'shard')
        FROM ringshard.shard_endpoint) AS endpoints
FROM snapshot, ringshard.meta
