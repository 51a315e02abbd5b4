-- Who blocks one of these sessions. $1: their names (application_name). No row if nobody does.
SELECT blocker.pid::bigint AS pid, blocker.application_name AS application, blocker.query AS query
FROM pg_catalog.pg_stat_activity AS waiting
JOIN pg_catalog.pg_stat_activity AS blocker ON blocker.pid = ANY (pg_catalog.pg_blocking_pids(waiting.pid))
WHERE waiting.application_name = ANY ($1)
ORDER BY blocker.backend_start
LIMIT 1
