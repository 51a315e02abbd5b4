-- Ends all other client sessions on the database $1; returns their number by program.
SELECT application, pg_catalog.count(*)
FROM (
    SELECT pg_catalog.regexp_replace(coalesce(application_name, ''), ' [0-9]+\.[0-9]+\.[0-9a-f]+$', '') AS application,
           pg_catalog.pg_terminate_backend(pid) AS has_ended
    FROM pg_catalog.pg_stat_activity
    WHERE datname = $1 AND pid <> pg_catalog.pg_backend_pid()
      AND coalesce(backend_type, 'client backend') = 'client backend'
    OFFSET 0
) AS session
WHERE has_ended
GROUP BY 1
ORDER BY 2 DESC, 1
