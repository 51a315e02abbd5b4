-- A point read: the shard, its epoch, its first arc that ends at or after the position, and the row, in one snapshot.
-- $1: the user's position; $2: its id. Plain columns without functions of ringshard, as on a new connection each name
-- lookup costs time. The client evaluates the columns. For a row of any table it replaces what is about `users`.
SELECT meta.shard, meta.cluster, meta.epoch, own_arc.first, own_arc.state, own_arc.transfer_to,
       users.user_id, users.name, users.region, users.email, meta.catalog_version, own_arc.epoch,
       pg_catalog.current_setting('row_security'), meta.timeline,
       CASE WHEN pg_catalog.pg_is_in_recovery() THEN NULL
       ELSE pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()) END,
       coalesce(meta.topology -> 'tables' @> '[{"prototype": true}]', true)
FROM ringshard.meta
LEFT JOIN LATERAL (
    SELECT arc.first, arc.state, arc.transfer_to, arc.epoch FROM ringshard.arc
    WHERE arc.last >= $1 ORDER BY arc.last LIMIT 1
) AS own_arc ON true
LEFT JOIN public.users ON users.user_id = $2
