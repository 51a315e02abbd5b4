-- The server's settings and state that every role may read. One row.
SELECT pg_catalog.current_setting('server_version') AS version,
       pg_catalog.current_setting('server_version_num')::integer AS version_number,
       pg_catalog.current_setting('server_encoding') AS encoding,
       pg_catalog.pg_is_in_recovery() AS in_recovery,
       -- Where it is set, if it is on: `user`, `database` …
       (SELECT source FROM pg_catalog.pg_settings
        WHERE name = 'default_transaction_read_only' AND setting = 'on') AS read_only_by,
       pg_catalog.current_setting('fsync') = 'on' AS fsync,
       pg_catalog.current_setting('full_page_writes') = 'on' AS full_page_writes,
       pg_catalog.current_setting('synchronous_commit') AS synchronous_commit,
       (SELECT pg_catalog.sum(numbackends)::bigint FROM pg_catalog.pg_stat_database) AS sessions,
       pg_catalog.current_setting('max_connections')::bigint
           - pg_catalog.current_setting('superuser_reserved_connections')::bigint AS sessions_most,
       -- NULL for a role that may not read it.
       (SELECT setting FROM pg_catalog.pg_settings WHERE name = 'data_directory') AS data_folder,
       current_user::text AS role,
       EXISTS (
           SELECT FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
           WHERE n.nspname = 'ringshard' AND c.relname = 'meta'
       ) AS has_catalog,
       EXISTS (
           SELECT FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
           WHERE n.nspname = 'public' AND c.relname = 'users'
       ) AS has_users
