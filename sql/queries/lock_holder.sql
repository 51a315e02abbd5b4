-- The longest-running holder of the advisory lock $1 in this database, or the session that blocks it. For the barrier,
-- holders of `fast_path_lock` count too.
-- 7283001 is BARRIER of src/pg/net/advisory_lock.rs.
SELECT activity.pid, coalesce(application_name, ''), coalesce(usename::text, ''), coalesce(host(client_addr), 'this machine'),
       coalesce(state, 'unknown'),
       coalesce(pg_catalog.floor(EXTRACT(epoch FROM pg_catalog.clock_timestamp() - coalesce(xact_start, state_change))), 0)::bigint
FROM pg_catalog.pg_locks AS lock
CROSS JOIN LATERAL (
    SELECT coalesce(pg_catalog.min(blocker), lock.pid) AS pid FROM unnest(pg_catalog.pg_blocking_pids(lock.pid)) AS blocker
    WHERE blocker NOT IN (0, pg_catalog.pg_backend_pid())
) AS holder
JOIN pg_catalog.pg_stat_activity AS activity ON activity.pid = holder.pid
WHERE lock.granted AND lock.pid <> pg_catalog.pg_backend_pid()
  AND lock.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
  AND (lock.locktype = 'advisory'
       AND lock.classid = ($1::bigint >> 32)::oid AND lock.objid = ($1 & 4294967295)::oid AND lock.objsubid = 1
       OR $1 = 7283001 AND lock.locktype = 'relation' AND lock.mode = 'RowShareLock'
       AND lock.relation = pg_catalog.to_regclass('ringshard.fast_path_lock'))
ORDER BY xact_start NULLS LAST LIMIT 1
