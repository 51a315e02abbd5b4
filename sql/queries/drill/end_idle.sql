-- Ends sessions on this database that began before $2, whose name begins with $1, and that are in the middle of
-- nothing: no transaction, and no lock that outlives one. Of others it ends none; nor of roles that this one may not
-- touch.
SELECT pg_catalog.count(*) FILTER (WHERE pg_catalog.pg_terminate_backend(activity.pid))
FROM pg_catalog.pg_stat_activity AS activity
JOIN pg_catalog.pg_roles AS other ON other.oid = activity.usesysid
JOIN pg_catalog.pg_roles AS me ON me.rolname = current_user
WHERE activity.datname = pg_catalog.current_database() AND activity.pid <> pg_catalog.pg_backend_pid()
  AND activity.application_name ~ ' [0-9]+\.[0-9]+\.[0-9a-f]+$'
  AND pg_catalog.starts_with(activity.application_name, $1)
  AND activity.state = 'idle' AND activity.backend_start < $2::timestamptz
  AND (me.rolsuper OR NOT other.rolsuper
       AND (pg_catalog.pg_has_role(activity.usesysid, 'USAGE') OR pg_catalog.pg_has_role('pg_signal_backend', 'USAGE')))
  AND NOT EXISTS (
      SELECT FROM pg_catalog.pg_locks AS held
      WHERE held.pid = activity.pid AND held.locktype = 'advisory'
  )
