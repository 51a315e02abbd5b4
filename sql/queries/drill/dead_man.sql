-- Waits until whoever closed a database lets go of a lock, is gone, or has had the time that lock_timeout gives; then
-- opens the database. The server brings this to its end, also when nobody is there to hear of it.
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
