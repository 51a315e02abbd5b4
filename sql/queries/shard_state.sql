-- The state of a shard, for movers. One row, one snapshot.
SELECT meta.catalog_version, meta.cluster, meta.shard, meta.epoch, meta.status, meta.topology, meta.next_topology,
       meta.participants, meta.desired_topology,
       meta.incarnation, meta.stale_endpoints, meta.topology_md5,
       (SELECT pg_catalog.jsonb_object_agg(shard_endpoint.shard, pg_catalog.to_jsonb(shard_endpoint) - 'shard')
        FROM ringshard.shard_endpoint) AS endpoints,
       own_arcs.firsts, own_arcs.lasts, own_arcs.epochs, own_arcs.transfers_to
FROM ringshard.meta,
LATERAL (
    SELECT coalesce(pg_catalog.array_agg(arc.first ORDER BY arc.last), '{}') AS firsts,
           coalesce(pg_catalog.array_agg(arc.last ORDER BY arc.last), '{}') AS lasts,
           coalesce(pg_catalog.array_agg(arc.epoch ORDER BY arc.last), '{}') AS epochs,
           -- The target of a fenced arc; NULL if the arc is owned.
           coalesce(pg_catalog.array_agg(arc.transfer_to ORDER BY arc.last), '{}') AS transfers_to
    FROM ringshard.arc
) AS own_arcs
