-- The dead man's switch of an outage: waits until the session that closed the database releases its lock or ends, at most
-- for lock_timeout, and then opens the database. The server completes this even if the client is gone.
-- 7283005 is DRILL of src/pg/net/advisory_lock.rs.
DO $dead_man$
BEGIN
    BEGIN
        PERFORM pg_catalog.pg_advisory_xact_lock(
            7283005, pg_catalog.hashtext(pg_catalog.current_setting('ringshard.drill')));
    EXCEPTION WHEN lock_not_available OR query_canceled THEN
        NULL;
    END;
    PERFORM pg_catalog.set_config('lock_timeout', '0', true);
    EXECUTE pg_catalog.format('ALTER DATABASE %I ALLOW_CONNECTIONS true',
                              pg_catalog.current_setting('ringshard.drill'));
END
$dead_man$
