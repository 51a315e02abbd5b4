-- What `users` is, besides its columns, as far as storing and moving its rows depend on it. One row, or none without the table.
SELECT c.relkind::text AS kind, c.relpersistence::text AS persistence,
       EXISTS (SELECT FROM pg_catalog.pg_inherits WHERE c.oid IN (inhparent, inhrelid)) AS is_inherited,
       ARRAY(SELECT pg_catalog.quote_ident(attname) FROM pg_catalog.pg_attribute
             WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped AND (attgenerated <> '' OR attidentity = 'a')
             ORDER BY attnum) AS generated,
       EXISTS (SELECT FROM pg_catalog.pg_index
               WHERE indrelid = c.oid AND indisprimary AND NOT indimmediate) AS is_key_deferrable,
       ARRAY(SELECT pg_catalog.quote_ident(rulename) FROM pg_catalog.pg_rewrite
             WHERE ev_class = c.oid AND ev_type IN ('2', '3', '4') ORDER BY rulename) AS rules,
       ARRAY(SELECT i.indexrelid::regclass::text FROM pg_catalog.pg_index AS i
             WHERE i.indrelid = c.oid AND NOT i.indisprimary AND (i.indisunique OR i.indisexclusion) ORDER BY 1) AS unique_indexes,
       pg_catalog.row_security_active(c.oid) AS has_policies,
       current_user::text AS role,
       -- What decides which rows the table accepts, besides the types of its columns.
       ARRAY(SELECT pg_catalog.format('%I%s%s', a.attname,
                                      ' COLLATE ' || nullif(a.attcollation, t.typcollation)::regcollation,
                                      CASE WHEN a.attnotnull THEN ' NOT NULL' END)
             FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
               AND a.attname <> 'user_id' AND (a.attcollation <> t.typcollation OR a.attnotnull)
               AND NOT EXISTS (SELECT FROM pg_catalog.pg_index
                               WHERE indrelid = c.oid AND indisprimary AND a.attnum = ANY (indkey)))
       || ARRAY(SELECT pg_catalog.pg_get_constraintdef(oid) FROM pg_catalog.pg_constraint
                WHERE conrelid = c.oid AND contype = 'c') AS definition
FROM pg_catalog.pg_class AS c WHERE c.oid = pg_catalog.to_regclass('public.users')
