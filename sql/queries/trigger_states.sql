-- The installed triggers of the guard on the table $1 and its partitions.
SELECT pg_catalog.format('%I.%I', of_table.nspname, c.relname) AS table_name,
       t.tgname::text AS name, t.tgenabled::text AS enabled, t.tgtype AS kind,
       n.nspname::text AS schema, p.proname::text AS function,
       t.tgoldtable::text AS old_rows, t.tgnewtable::text AS new_rows, t.tgqual IS NOT NULL AS has_condition
FROM pg_catalog.pg_trigger AS t
JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid
JOIN pg_catalog.pg_namespace AS of_table ON of_table.oid = c.relnamespace
JOIN pg_catalog.pg_proc AS p ON p.oid = t.tgfoid
JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
WHERE (c.oid = pg_catalog.to_regclass($1) OR c.oid IN (SELECT relid FROM pg_catalog.pg_partition_tree(pg_catalog.to_regclass($1))))
  AND t.tgname LIKE 'ringshard\_%'
