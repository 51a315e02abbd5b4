-- The sessions of clients of this database: those at work first, the longest first. What this role may not see is null. Who blocks
-- a session is asked only for one that waits for a lock, as the answer stops all locking for a moment.
SELECT session.pid,
       coalesce(session.usename::text, '') AS role,
       coalesce(session.application_name, '') AS program,
       coalesce(session.state, '') AS state,
       EXTRACT(epoch FROM pg_catalog.clock_timestamp()
           - CASE WHEN session.state = 'active' THEN session.query_start ELSE session.state_change END)::double precision AS seconds,
       -- Every idle session waits for its client.
       CASE WHEN session.wait_event_type <> 'Client' THEN session.wait_event_type || ' ' || session.wait_event END AS waits_for,
       CASE WHEN session.wait_event_type = 'Lock' THEN pg_catalog.pg_blocking_pids(session.pid) ELSE '{}' END AS blocked_by,
       pg_catalog.left(coalesce(session.query, ''), 1000) AS statement
FROM pg_catalog.pg_stat_activity AS session
WHERE session.datname = pg_catalog.current_database() AND session.pid <> pg_catalog.pg_backend_pid()
    AND session.backend_type = 'client backend'
ORDER BY session.state = 'idle', seconds DESC NULLS LAST, session.pid
LIMIT 200
