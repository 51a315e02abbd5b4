-- Follows BEGIN in each transaction of `verify --fix`: makes the commit durable, and takes the barrier, held to commit.
-- 7283001 is BARRIER of src/pg/net/advisory_lock.rs.
SET LOCAL client_min_messages = warning;
SET LOCAL row_security = off;
SET LOCAL statement_timeout = 0;
SELECT pg_catalog.set_config('synchronous_commit', 'on', true)
WHERE pg_catalog.current_setting('synchronous_commit') IN ('off', 'local');
SELECT pg_catalog.pg_advisory_xact_lock_shared(7283001)
