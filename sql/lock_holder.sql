-- Who holds an advisory lock of this database, the bigint $1: the one that has done so for the longest.
SELECT pid, coalesce(application_name, ''), coalesce(usename::text, ''), coalesce(host(client_addr), 'this machine'),
       coalesce(state, 'unknown'),
       coalesce(pg_catalog.floor(EXTRACT(epoch FROM pg_catalog.clock_timestamp() - coalesce(xact_start, state_change))), 0)::bigint
FROM pg_catalog.pg_locks JOIN pg_catalog.pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND granted AND pid <> pg_catalog.pg_backend_pid()
  AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
  AND classid = ($1 >> 32)::oid AND objid = ($1 & 4294967295)::oid AND objsubid = 1
ORDER BY xact_start NULLS LAST LIMIT 1
