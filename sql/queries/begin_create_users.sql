-- Begins to store many users at once, and takes the barrier; the proof (create_users.sql) is a statement, and so
-- a snapshot, of its own. As `ringshard.write_user` has it: on disk whatever the server's default, and a stronger
-- setting stays.
--
-- Who stores on several shards at once may wait there for somebody who waits for him here, and no server sees that:
-- so nobody waits for long.
BEGIN ISOLATION LEVEL READ COMMITTED;
SET LOCAL lock_timeout = '200ms';
SET LOCAL ringshard.guard = 'checked';
SELECT pg_catalog.set_config('synchronous_commit', 'on', true)
WHERE pg_catalog.current_setting('synchronous_commit') IN ('off', 'local');
SELECT pg_catalog.pg_advisory_xact_lock_shared(7283001)
