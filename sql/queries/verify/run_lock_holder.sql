<<<<<<< HEAD:sql/queries/verify/run_lock_holder.sql
-- The holder of the run lock.
=======
-- Who holds the lock of those that change the ring or mend its rows.
-- 7283004 is RUN_LOCK of src/pg/net/advisory_lock.rs.
>>>>>>> 801e7a3 (locks: name the keys of the advisory locks in one module):sql/queries/verify/holder.sql
SELECT lock.pid, session.application_name
FROM pg_catalog.pg_locks AS lock
LEFT JOIN pg_catalog.pg_stat_activity AS session ON session.pid = lock.pid
WHERE lock.locktype = 'advisory' AND lock.granted AND lock.classid = 0 AND lock.objid = 7283004 AND lock.objsubid = 1
  AND lock.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
