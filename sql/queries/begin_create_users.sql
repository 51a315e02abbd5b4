-- Begins a batch of creates, and takes the barrier. The proof of ownership (create_users.sql) is a statement of its own
-- and so has a newer snapshot. Durable whatever the server's default, as in `ringshard.write_user`.
--
-- Batches on several shards can deadlock in a way that no server detects, so no lock is waited for longer than this.
-- 7283001 is BARRIER of src/pg/net/advisory_lock.rs.
BEGIN ISOLATION LEVEL READ COMMITTED;
SET LOCAL lock_timeout = '200ms';
SET LOCAL row_security = off;
SET LOCAL ringshard.guard = 'checked';
SELECT pg_catalog.set_config('synchronous_commit', 'on', true)
WHERE pg_catalog.current_setting('synchronous_commit') IN ('off', 'local');
SELECT pg_catalog.pg_advisory_xact_lock_shared(7283001)
