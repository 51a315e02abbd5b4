-- Idle holders of locks in this database: sessions that have been idle in a transaction for more than a minute, and
-- prepared transactions. (Without pg_monitor, a role sees the state of its own sessions only.)
SELECT pid::text AS name, usename::text AS role, false AS is_prepared,
       pg_catalog.floor(EXTRACT(epoch FROM pg_catalog.clock_timestamp() - state_change))::bigint AS seconds
FROM pg_catalog.pg_stat_activity
WHERE datname = pg_catalog.current_database() AND state LIKE 'idle in transaction%'
  AND state_change < pg_catalog.clock_timestamp() - interval '1 minute'
UNION ALL
SELECT gid, owner::text, true,
       pg_catalog.floor(EXTRACT(epoch FROM pg_catalog.clock_timestamp() - prepared))::bigint
FROM pg_catalog.pg_prepared_xacts WHERE database = pg_catalog.current_database()
ORDER BY 3, 1
