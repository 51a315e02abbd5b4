-- One row: the identity of this shard, and all its arcs in order. The first statement of a scatter read's transaction, so
-- that the rows read later are of the same snapshot.
SELECT meta.shard, meta.cluster, meta.epoch, meta.catalog_version,
       own_arcs.firsts, own_arcs.lasts, own_arcs.epochs, own_arcs.transfers_to,
       ARRAY(SELECT left_rows.first FROM ringshard.left_behind AS left_rows ORDER BY left_rows.last) AS left_firsts,
       ARRAY(SELECT left_rows.last FROM ringshard.left_behind AS left_rows ORDER BY left_rows.last) AS left_lasts,
       -- The statements that follow in the transaction may read all rows.
       pg_catalog.set_config('statement_timeout', '0', true) AS statement_timeout,
       ringshard.is_confirmed() AS is_confirmed,
       -- src/pg/net/connect.rs sets it where no pooler is in between.
       pg_catalog.current_setting('ringshard.session', true) IS NULL AS is_pooled
FROM ringshard.meta,
LATERAL (
    SELECT coalesce(pg_catalog.array_agg(arc.first ORDER BY arc.last), '{}') AS firsts,
           coalesce(pg_catalog.array_agg(arc.last ORDER BY arc.last), '{}') AS lasts,
           coalesce(pg_catalog.array_agg(arc.epoch ORDER BY arc.last), '{}') AS epochs,
           -- The shard that a fenced arc goes to; NULL where the arc is owned.
           coalesce(pg_catalog.array_agg(arc.transfer_to ORDER BY arc.last), '{}') AS transfers_to
    FROM ringshard.arc
) AS own_arcs
