-- One row: who answers, and all arcs that this shard holds, in order. The first statement of a scatter read's
-- transaction, so that the rows that are read afterwards are those of the same snapshot.
SELECT meta.shard, meta.cluster, meta.epoch, meta.catalog_version,
       held.firsts, held.lasts, held.epochs, held.transfers_to
FROM ringshard.meta,
LATERAL (
    SELECT coalesce(pg_catalog.array_agg(arc.first ORDER BY arc.last), '{}') AS firsts,
           coalesce(pg_catalog.array_agg(arc.last ORDER BY arc.last), '{}') AS lasts,
           coalesce(pg_catalog.array_agg(arc.epoch ORDER BY arc.last), '{}') AS epochs,
           -- The shard that a fenced arc goes to; NULL where the arc is owned.
           coalesce(pg_catalog.array_agg(arc.transfer_to ORDER BY arc.last), '{}') AS transfers_to
    FROM ringshard.arc
) AS held
