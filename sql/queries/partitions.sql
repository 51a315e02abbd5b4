-- The table $1 and its partitions at every level, each after its parent; no row without the table.
SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) AS name, c.relkind = 'p' AS is_partitioned
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_partition_tree(pg_catalog.to_regclass($1)) AS tree ON tree.relid = c.oid
WHERE c.oid = pg_catalog.to_regclass($1) OR tree.relid IS NOT NULL
ORDER BY coalesce(tree.level, 0), 1
