-- The columns of get_user.sql by which a shard proves that it owns a key, without a row. $1: the position of the key.
SELECT meta.shard, meta.cluster, meta.epoch, own_arc.first, own_arc.state, own_arc.transfer_to,
       NULL, NULL, NULL, NULL, meta.catalog_version, own_arc.epoch,
       pg_catalog.current_setting('row_security'), meta.timeline,
       CASE WHEN pg_catalog.pg_is_in_recovery() THEN NULL
       ELSE pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()) END,
       true
FROM ringshard.meta
LEFT JOIN LATERAL (
    SELECT arc.first, arc.state, arc.transfer_to, arc.epoch FROM ringshard.arc
    WHERE arc.last >= $1 ORDER BY arc.last LIMIT 1
) AS own_arc ON true
