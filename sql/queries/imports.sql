-- Running and interrupted imports. A running one holds a session lock, whose key is the beginning of its source
-- (`take_lock` in src/pg/import/mod.rs).
-- 7283003 is IMPORT of src/pg/net/advisory_lock.rs.
SELECT source, committed_through, file,
       pg_catalog.floor(EXTRACT(epoch FROM pg_catalog.clock_timestamp() - begun))::bigint AS seconds,
       EXISTS (
           SELECT FROM pg_catalog.pg_locks AS lock
           WHERE lock.locktype = 'advisory' AND lock.granted AND lock.objsubid = 2
             AND lock.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
             AND lock.classid::bigint = 7283003
             AND lock.objid::bigint = ('x' || pg_catalog.left(source::text, 8))::bit(32)::bigint
       ) AS is_running
FROM ringshard.import ORDER BY begun, source
