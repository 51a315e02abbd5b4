-- The installed triggers of the guard on the table $1.
SELECT t.tgname::text AS name, t.tgenabled::text AS enabled, t.tgtype AS kind,
       n.nspname::text AS schema, p.proname::text AS function,
       t.tgoldtable::text AS old_rows, t.tgnewtable::text AS new_rows, t.tgqual IS NOT NULL AS has_condition
FROM pg_catalog.pg_trigger AS t
JOIN pg_catalog.pg_proc AS p ON p.oid = t.tgfoid
JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
WHERE t.tgrelid = pg_catalog.to_regclass($1) AND t.tgname LIKE 'ringshard\_%'
