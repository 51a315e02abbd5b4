-- The privileges that this role needs, in the words of GRANT, and whether it has each. Missing objects are skipped.
WITH needed (schema, name, privileges) AS (
    VALUES ('public', 'users', ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']),
           ('ringshard', 'meta', ARRAY['SELECT', 'UPDATE']),
           ('ringshard', 'arc', ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']),
           ('ringshard', 'fast_path_lock', ARRAY['SELECT', 'UPDATE']),
           ('ringshard', 'shard_endpoint', ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']),
           ('ringshard', 'import', ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']),
           ('ringshard', 'quarantine', ARRAY['SELECT', 'INSERT']),
           ('ringshard', 'left_behind', ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']),
           ('ringshard', 'schema_change', ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']),
           ('ringshard', 'migration_progress', ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']),
           ('ringshard', 'rebalance_run', ARRAY['SELECT', 'INSERT', 'UPDATE'])
)
SELECT pg_catalog.format('TABLE %I.%I', schema, name) AS object, privilege,
       pg_catalog.has_table_privilege(c.oid, privilege) AS held
FROM needed
CROSS JOIN LATERAL unnest(privileges) WITH ORDINALITY AS listed (privilege, ordinal)
JOIN pg_catalog.pg_namespace AS n ON n.nspname = schema
JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = name
UNION ALL
SELECT pg_catalog.format('SCHEMA %I', nspname), 'USAGE', pg_catalog.has_schema_privilege(oid, 'USAGE')
FROM pg_catalog.pg_namespace WHERE nspname IN ('public', 'ringshard')
UNION ALL
SELECT pg_catalog.format('DATABASE %I', pg_catalog.current_database()), 'TEMPORARY',
       pg_catalog.has_database_privilege(pg_catalog.current_database(), 'TEMPORARY')
