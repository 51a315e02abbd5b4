-- Topology and arcs of a shard without `topology_md5`, if no change is under way and no arc is fenced.
SELECT meta.topology, own_arcs.firsts, own_arcs.lasts
FROM ringshard.meta,
LATERAL (
    SELECT coalesce(pg_catalog.array_agg(arc.first ORDER BY arc.last), '{}') AS firsts,
           coalesce(pg_catalog.array_agg(arc.last ORDER BY arc.last), '{}') AS lasts
    FROM ringshard.arc
) AS own_arcs
WHERE meta.status = 'done' AND meta.topology_md5 IS NULL AND NOT EXISTS (SELECT FROM ringshard.arc WHERE state <> 'owned')
