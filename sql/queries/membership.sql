-- This shard's description of its cluster. One row.
SELECT meta.catalog_version, meta.cluster, meta.shard, meta.epoch, meta.topology, meta.next_topology,
       meta.participants, meta.desired_topology, meta.incarnation, meta.stale_endpoints, meta.topology_md5,
       (SELECT pg_catalog.jsonb_object_agg(shard_endpoint.shard, pg_catalog.to_jsonb(shard_endpoint) - 'shard')
        FROM ringshard.shard_endpoint) AS endpoints
FROM ringshard.meta
