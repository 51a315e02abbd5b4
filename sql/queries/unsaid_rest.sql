-- What is in force on a shard that does not say whose ring's arcs it has, though nothing is under way and none is fenced.
SELECT meta.topology, held.firsts, held.lasts
FROM ringshard.meta,
LATERAL (
    SELECT coalesce(pg_catalog.array_agg(arc.first ORDER BY arc.last), '{}') AS firsts,
           coalesce(pg_catalog.array_agg(arc.last ORDER BY arc.last), '{}') AS lasts
    FROM ringshard.arc
) AS held
WHERE meta.status = 'done' AND meta.topology_md5 IS NULL AND NOT EXISTS (SELECT FROM ringshard.arc WHERE state <> 'owned')
