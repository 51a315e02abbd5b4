-- The arcs of this shard, in order.
SELECT coalesce(pg_catalog.array_agg(arc.first ORDER BY arc.last), '{}') AS firsts,
       coalesce(pg_catalog.array_agg(arc.last ORDER BY arc.last), '{}') AS lasts,
       coalesce(pg_catalog.array_agg(arc.epoch ORDER BY arc.last), '{}') AS epochs,
       coalesce(pg_catalog.array_agg(arc.transfer_to ORDER BY arc.last), '{}') AS transfers_to
FROM ringshard.arc
