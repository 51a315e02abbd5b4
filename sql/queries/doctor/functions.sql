-- The installed functions of the catalog.
SELECT p.proname::text AS name, p.prosrc AS source, p.prosecdef AS is_definer
FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
WHERE n.nspname = 'ringshard'
