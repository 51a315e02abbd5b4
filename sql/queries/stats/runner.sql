-- Who carries a change of the ring out, or was the last to do so; $1 is the lock of who is at it.
SELECT rebalance_run.runner, rebalance_run.phase,
       EXTRACT(epoch FROM pg_catalog.clock_timestamp() - rebalance_run.since)::bigint AS phase_seconds,
       EXTRACT(epoch FROM pg_catalog.clock_timestamp() - rebalance_run.begun)::bigint AS seconds,
       rebalance_run.rows, rebalance_run.bytes,
       EXISTS (
           SELECT FROM pg_catalog.pg_locks
           WHERE locktype = 'advisory' AND granted
             AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
             AND classid = ($1 >> 32)::oid AND objid = ($1 & 4294967295)::oid AND objsubid = 1
       ) AS is_at_work
FROM ringshard.rebalance_run
