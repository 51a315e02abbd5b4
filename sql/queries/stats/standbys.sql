-- The standbys that stream from this server. To a role that may not see them, all but their number is null.
SELECT coalesce(standby.application_name, '') AS name,
       coalesce(standby.state, '') AS state,
       coalesce(standby.sync_state, '') AS sync,
       pg_catalog.pg_wal_lsn_diff(
           CASE WHEN NOT pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_current_wal_flush_lsn() END,
           standby.replay_lsn)::bigint AS lag_bytes
FROM pg_catalog.pg_stat_replication AS standby
WHERE standby.state IS DISTINCT FROM 'backup'
ORDER BY name
