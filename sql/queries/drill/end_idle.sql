-- Ends the idle sessions on this database that began before $2 and whose name begins with $1, if they have no transaction
-- and no session lock, and this role may end them.
SELECT pg_catalog.count(*) FILTER (WHERE pg_catalog.pg_terminate_backend(activity.pid))
FROM pg_catalog.pg_stat_activity AS activity
JOIN pg_catalog.pg_roles AS owner ON owner.oid = activity.usesysid
JOIN pg_catalog.pg_roles AS me ON me.rolname = current_user
WHERE activity.datname = pg_catalog.current_database() AND activity.pid <> pg_catalog.pg_backend_pid()
  AND activity.application_name ~ ' [0-9]+\.[0-9]+\.[0-9a-f]+$'
  AND pg_catalog.starts_with(activity.application_name, $1)
  AND activity.state = 'idle' AND activity.backend_start < $2::timestamptz
  AND (me.rolsuper OR NOT owner.rolsuper
       AND (pg_catalog.pg_has_role(activity.usesysid, 'USAGE') OR pg_catalog.pg_has_role('pg_signal_backend', 'USAGE')))
  AND NOT EXISTS (
      SELECT FROM pg_catalog.pg_locks AS lock
      WHERE lock.pid = activity.pid AND lock.locktype = 'advisory'
  )
