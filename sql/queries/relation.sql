-- What the table $1 is, as far as storing and moving its rows by the key $2 depend on it. One row, or none without the table.
SELECT c.relkind::text AS kind, c.relpersistence::text AS persistence,
       EXISTS (SELECT FROM pg_catalog.pg_inherits WHERE c.oid IN (inhparent, inhrelid)) AS is_inherited,
       ARRAY(SELECT pg_catalog.quote_ident(attname) FROM pg_catalog.pg_attribute
             WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped AND (attgenerated <> '' OR attidentity = 'a')
             ORDER BY attnum) AS generated,
       EXISTS (SELECT FROM pg_catalog.pg_index
               WHERE indrelid = c.oid AND indisprimary AND NOT indimmediate) AS is_key_deferrable,
       ARRAY(SELECT pg_catalog.quote_ident(rulename) FROM pg_catalog.pg_rewrite
             WHERE ev_class = c.oid AND ev_type IN ('2', '3', '4') ORDER BY rulename) AS rules,
       -- Unique on its own shard only, unless the key is part of it.
       ARRAY(SELECT i.indexrelid::regclass::text FROM pg_catalog.pg_index AS i
             WHERE i.indrelid = c.oid AND (i.indisunique OR i.indisexclusion)
               -- A column that is only stored in the index (INCLUDE) is no part of what is unique.
               AND NOT coalesce(key.attnum = ANY ((i.indkey::smallint[])[0:i.indnkeyatts - 1]), false)
             ORDER BY 1) AS unique_indexes,
       (SELECT pg_catalog.format_type(key.atttypid, NULL)) AS key_type,
       coalesce(key.attnotnull, false) AS is_key_not_null,
       pg_catalog.row_security_active(c.oid) AS has_policies,
       current_user::text AS role,
       -- What decides which rows the table accepts, and how they are read.
       ARRAY(SELECT pg_catalog.format('%s. %I %s%s%s%s', row_number() OVER (ORDER BY a.attnum), a.attname,
                                      pg_catalog.format_type(a.atttypid, a.atttypmod),
                                      ' COLLATE ' || nullif(a.attcollation, t.typcollation)::regcollation,
                                      CASE WHEN a.attnotnull THEN ' NOT NULL' END,
                                      CASE WHEN a.attgenerated <> '' THEN
                                          ' GENERATED ALWAYS AS ' || pg_catalog.pg_get_expr(d.adbin, d.adrelid) END)
             FROM pg_catalog.pg_attribute AS a
             JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
             LEFT JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
       || ARRAY(SELECT pg_catalog.pg_get_constraintdef(oid) FROM pg_catalog.pg_constraint
                WHERE conrelid = c.oid AND contype IN ('c', 'p', 'u', 'f') ORDER BY 1) AS definition
FROM pg_catalog.pg_class AS c
LEFT JOIN pg_catalog.pg_attribute AS key ON key.attrelid = c.oid AND key.attname = $2 AND NOT key.attisdropped
WHERE c.oid = pg_catalog.to_regclass($1)
