-- One row: who answers, and all arcs that this shard holds, in order. The first statement of a scatter read's
-- transaction, so that the rows that are read afterwards are those of the same snapshot.
SELECT meta.shard, meta.cluster::text, meta.epoch, meta.catalog_version,
       held.firsts, held.lasts, held.states, held.epochs
FROM ringshard.meta,
LATERAL (
    SELECT coalesce(pg_catalog.array_agg(arc.first ORDER BY arc.last), '{}') AS firsts,
           coalesce(pg_catalog.array_agg(arc.last ORDER BY arc.last), '{}') AS lasts,
           coalesce(pg_catalog.array_agg(arc.state = 'owned' ORDER BY arc.last), '{}') AS states,
           coalesce(pg_catalog.array_agg(arc.epoch ORDER BY arc.last), '{}') AS epochs
    FROM ringshard.arc
) AS held
