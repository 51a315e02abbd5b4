-- What a shard says of itself, for who changes the ring. One row, one snapshot.
SELECT meta.catalog_version, meta.cluster::text, meta.shard, meta.epoch, meta.status, meta.topology, meta.target,
       meta.members, meta.wanted,
       pg_catalog.to_jsonb(meta) -> 'incarnation' AS incarnation, pg_catalog.to_jsonb(meta) -> 'retired' AS retired,
       (pg_catalog.to_jsonb(meta) ->> 'ring')::uuid AS ring,
       (SELECT pg_catalog.jsonb_object_agg(address.shard, pg_catalog.to_jsonb(address) - 'shard')
        FROM ringshard.address) AS places,
       held.firsts, held.lasts, held.epochs, held.peers
FROM ringshard.meta,
LATERAL (
    SELECT coalesce(pg_catalog.array_agg(arc.first ORDER BY arc.last), '{}') AS firsts,
           coalesce(pg_catalog.array_agg(arc.last ORDER BY arc.last), '{}') AS lasts,
           coalesce(pg_catalog.array_agg(arc.epoch ORDER BY arc.last), '{}') AS epochs,
           -- Whom a fenced arc is for; NULL where it is owned.
           coalesce(pg_catalog.array_agg(arc.peer ORDER BY arc.last), '{}') AS peers
    FROM ringshard.arc
) AS held
