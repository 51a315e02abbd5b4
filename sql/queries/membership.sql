-- What this shard says of its cluster. One row. The catalog may be an older one, without some of the columns.
SELECT meta.catalog_version, meta.cluster::text, meta.shard, meta.epoch, meta.status, meta.topology, meta.target,
       nullif(pg_catalog.to_jsonb(meta) -> 'members', 'null') AS members,
       nullif(pg_catalog.to_jsonb(meta) -> 'wanted', 'null') AS wanted,
       pg_catalog.to_jsonb(meta) -> 'incarnation' AS incarnation, pg_catalog.to_jsonb(meta) -> 'retired' AS retired,
       (pg_catalog.to_jsonb(meta) ->> 'ring')::uuid AS ring,
       (SELECT pg_catalog.jsonb_object_agg(address.shard, pg_catalog.to_jsonb(address) - 'shard')
        FROM ringshard.address) AS places
FROM ringshard.meta
