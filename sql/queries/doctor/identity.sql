-- The identity of this database and server, whatever the URL. One row.
SELECT (SELECT system_identifier FROM pg_catalog.pg_control_system())::text
           || '/' || (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())::text
           || '/' || pg_catalog.pg_postmaster_start_time()::text AS identity
