-- The other sessions on the database $1 by program: how many, and how many of them this role may not end. The suffix that
-- makes names of ringshard's sessions unique is removed.
SELECT pg_catalog.regexp_replace(coalesce(activity.application_name, ''), ' [0-9]+\.[0-9]+\.[0-9a-f]+$', ''),
       pg_catalog.count(*),
       pg_catalog.count(*) FILTER (WHERE NOT (
           me.rolsuper
           OR NOT coalesce(other.rolsuper, false)
              AND (pg_catalog.pg_has_role(activity.usesysid, 'USAGE')
                   OR pg_catalog.pg_has_role('pg_signal_backend', 'USAGE'))
       ))
FROM pg_catalog.pg_stat_activity AS activity
LEFT JOIN pg_catalog.pg_roles AS other ON other.oid = activity.usesysid
JOIN pg_catalog.pg_roles AS me ON me.rolname = current_user
WHERE activity.datname = $1 AND activity.pid <> pg_catalog.pg_backend_pid()
  AND coalesce(activity.backend_type, 'client backend') = 'client backend'
GROUP BY 1
ORDER BY 2 DESC, 1
