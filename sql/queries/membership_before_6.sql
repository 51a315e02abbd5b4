-- As membership.sql, for a catalog of version 1 to 5, which has other names and may lack columns. For init-shards and doctor.
SELECT meta.catalog_version, meta.cluster, meta.shard, meta.epoch, meta.topology, meta.target AS next_topology,
       nullif(pg_catalog.to_jsonb(meta) -> 'members', 'null') AS participants,
       nullif(pg_catalog.to_jsonb(meta) -> 'wanted', 'null') AS desired_topology,
       coalesce((pg_catalog.to_jsonb(meta) ->> 'incarnation')::bigint, 1) AS incarnation,
       coalesce(pg_catalog.to_jsonb(meta) -> 'retired', '{}') AS stale_endpoints, NULL::uuid AS topology_md5,
       (SELECT pg_catalog.jsonb_object_agg(address.shard, pg_catalog.to_jsonb(address) - 'shard')
        FROM ringshard.address) AS endpoints
FROM ringshard.meta
