-- What a database holds before ringshard changes it. One row.
SELECT (SELECT system_identifier FROM pg_catalog.pg_control_system())::text
           || '/' || (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())::text
           || '/' || pg_catalog.pg_postmaster_start_time()::text AS identity,
       pg_catalog.current_setting('server_version_num')::integer AS version,
       pg_catalog.current_setting('server_encoding') AS encoding,
       pg_catalog.quote_ident(pg_catalog.current_database()) AS database,
       pg_catalog.quote_ident(current_user) AS role,
       -- NULL if there is no such schema.
       (SELECT pg_catalog.has_schema_privilege(oid, 'USAGE') AND pg_catalog.has_schema_privilege(oid, 'CREATE')
        FROM pg_catalog.pg_namespace WHERE nspname = 'public') AS may_create_table,
       pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE') AS may_create_schema,
       pg_catalog.to_regclass('public.users') IS NOT NULL AS has_users,
       -- Tables of the user's own.
       EXISTS (
           SELECT FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
           WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'ringshard')
             AND n.nspname !~ '^pg_(toast|temp)'
             AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend
                             WHERE classid = 'pg_catalog.pg_class'::regclass AND objid = c.oid AND deptype = 'e')
       ) AS has_tables,
       pg_catalog.to_regclass('ringshard.meta') IS NOT NULL AS has_catalog,
       -- The columns in order: name, type, and `primary key` for those of the primary key.
       (SELECT pg_catalog.string_agg(
                   a.attname || ' ' || pg_catalog.format_type(a.atttypid, a.atttypmod)
                   || CASE WHEN a.attnum = ANY (i.indkey) THEN ' primary key' ELSE '' END, ', ' ORDER BY a.attnum)
        FROM pg_catalog.pg_attribute AS a
        LEFT JOIN pg_catalog.pg_index AS i ON i.indrelid = a.attrelid AND i.indisprimary
        WHERE a.attrelid = pg_catalog.to_regclass('public.users') AND a.attnum > 0 AND NOT a.attisdropped
       ) AS columns,
       EXISTS (
           SELECT FROM pg_catalog.pg_index AS i
           JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
           WHERE i.indrelid = pg_catalog.to_regclass('public.users') AND i.indisvalid
             AND i.indpred IS NULL AND a.attname = 'region'
       ) AS has_region_index
