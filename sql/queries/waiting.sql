-- Who blocks one of these sessions: another session, or a transaction that was prepared for two-phase commit and has none. $1:
-- their names (application_name). No row if nobody does.
SELECT blocker.pid::bigint AS pid, blocker.application_name AS application, blocker.query AS query, prepared.gid AS prepared
FROM pg_catalog.pg_stat_activity AS waiting
CROSS JOIN LATERAL pg_catalog.unnest(pg_catalog.pg_blocking_pids(waiting.pid)) AS blocking (pid)
LEFT JOIN pg_catalog.pg_stat_activity AS blocker ON blocker.pid = blocking.pid
LEFT JOIN LATERAL (
    SELECT transactions.gid
    FROM pg_catalog.pg_locks AS wanted
    JOIN pg_catalog.pg_locks AS held ON held.granted AND held.pid IS NULL
        AND (held.locktype, held.database, held.relation, held.transactionid)
            IS NOT DISTINCT FROM (wanted.locktype, wanted.database, wanted.relation, wanted.transactionid)
    JOIN pg_catalog.pg_locks AS itself ON itself.virtualtransaction = held.virtualtransaction AND itself.pid IS NULL
    JOIN pg_catalog.pg_prepared_xacts AS transactions ON transactions.transaction = itself.transactionid
    WHERE wanted.pid = waiting.pid AND NOT wanted.granted
    LIMIT 1
) AS prepared ON blocking.pid = 0
WHERE waiting.application_name = ANY ($1) AND (blocker.pid IS NOT NULL OR prepared.gid IS NOT NULL)
ORDER BY blocker.backend_start
LIMIT 1
