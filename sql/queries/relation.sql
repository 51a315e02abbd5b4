-- What the table $1 is with its partitions, as far as storing and moving its rows by the key $2 depend on it. One row, or none
-- without the table.
WITH part AS (
    SELECT c.oid, c.relkind, c.relpersistence, c.relpartbound, pg_catalog.format('%I.%I', n.nspname, c.relname) AS name
    FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.oid = pg_catalog.to_regclass($1)
       OR c.oid IN (SELECT relid FROM pg_catalog.pg_partition_tree(pg_catalog.to_regclass($1)))
)
SELECT c.relkind::text AS kind,
       (SELECT pg_catalog.min(name) FROM part WHERE relpersistence <> 'p') AS unlogged,
       (SELECT pg_catalog.min(name) FROM part WHERE relkind = 'f' AND oid <> c.oid) AS foreign_partition,
       EXISTS (SELECT FROM pg_catalog.pg_inherits WHERE inhrelid = c.oid OR inhparent = c.oid AND c.relkind <> 'p') AS is_inherited,
       (SELECT pg_catalog.format('%I.%I', n.nspname, root.relname)
        FROM pg_catalog.pg_class AS root JOIN pg_catalog.pg_namespace AS n ON n.oid = root.relnamespace
        WHERE c.relispartition AND root.oid = pg_catalog.pg_partition_root(c.oid)) AS partition_of,
       ARRAY(SELECT pg_catalog.quote_ident(attname) FROM pg_catalog.pg_attribute
             WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped AND (attgenerated <> '' OR attidentity = 'a')
             ORDER BY attnum) AS generated,
       EXISTS (SELECT FROM pg_catalog.pg_index
               WHERE indrelid = c.oid AND indisprimary AND NOT indimmediate) AS is_key_deferrable,
       ARRAY(SELECT pg_catalog.quote_ident(rulename) FROM pg_catalog.pg_rewrite
             WHERE ev_class = c.oid AND ev_type IN ('2', '3', '4') ORDER BY rulename) AS rules,
       -- Unique on its own shard only, unless the key is part of it.
       ARRAY(SELECT i.indexrelid::regclass::text FROM pg_catalog.pg_index AS i
             WHERE i.indrelid IN (SELECT oid FROM part) AND (i.indisunique OR i.indisexclusion)
               -- Not those of partitions that belong to one of the table.
               AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits WHERE inhrelid = i.indexrelid)
               -- A column that is only stored in the index (INCLUDE) is no part of what is unique.
               AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute WHERE attrelid = i.indrelid AND attname = $2
                               AND attnum = ANY ((i.indkey::smallint[])[0:i.indnkeyatts - 1]))
             ORDER BY 1) AS unique_indexes,
       -- Columns of unique indexes that each shard numbers for itself, in steps of 1, with what makes them unique over all shards.
       -- (An integer cannot become a bigint once it is the key.)
       (SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
                   'column', pg_catalog.quote_ident(a.attname), 'is_key', a.attname = $2,
                   'is_with_key', coalesce(within.is_with_key, false),
                   'clause', CASE WHEN a.attname <> $2 OR a.atttypid = 'bigint'::regtype THEN
                       pg_catalog.format('%s%sALTER COLUMN %I SET DEFAULT ringshard.%s()',
                           CASE WHEN a.attidentity <> '' THEN pg_catalog.format('ALTER COLUMN %I DROP IDENTITY, ', a.attname) END,
                           CASE WHEN a.atttypid IN ('smallint'::regtype, 'integer'::regtype) THEN
                               pg_catalog.format('ALTER COLUMN %I TYPE bigint, ', a.attname) END,
                           a.attname, CASE WHEN a.attname = $2 THEN 'next_own_id' ELSE 'next_id' END) END)
                   ORDER BY a.attnum), '[]')
        FROM pg_catalog.pg_attribute AS a
        CROSS JOIN LATERAL (
            SELECT pg_catalog.bool_and(key.attnum = ANY ((i.indkey::smallint[])[0:i.indnkeyatts - 1])) AS is_with_key
            FROM pg_catalog.pg_index AS i
            WHERE i.indrelid = c.oid AND i.indisunique AND a.attnum = ANY ((i.indkey::smallint[])[0:i.indnkeyatts - 1])
            HAVING pg_catalog.count(*) > 0) AS within
        LEFT JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE a.attrelid = c.oid AND EXISTS (
            SELECT FROM pg_catalog.pg_depend AS own
            JOIN pg_catalog.pg_sequence AS s ON s.seqincrement = 1 AND s.seqrelid IN (own.objid, own.refobjid)
            -- The default uses the sequence, or the column is an identity.
            WHERE (own.classid, own.objid) = ('pg_catalog.pg_attrdef'::regclass, d.oid)
               OR (own.refclassid, own.refobjid, own.refobjsubid, own.deptype)
                      = ('pg_catalog.pg_class'::regclass, c.oid, a.attnum, 'i'))
       ) AS numbered_columns,
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
       || ARRAY(SELECT pg_catalog.concat(CASE WHEN part.oid <> c.oid THEN name || ' ' END, pg_catalog.pg_get_constraintdef(con.oid))
                FROM part JOIN pg_catalog.pg_constraint AS con ON con.conrelid = part.oid
                -- What a partition inherits is told with its table; a foreign key to a partitioned table has a part for each partition.
                WHERE contype IN ('c', 'p', 'u', 'f') AND coninhcount = 0 ORDER BY 1)
       || ARRAY(SELECT pg_catalog.concat_ws(' ', name, pg_catalog.pg_get_expr(relpartbound, oid),
                                            'PARTITION BY ' || pg_catalog.pg_get_partkeydef(oid))
                FROM part WHERE c.relkind = 'p' ORDER BY 1)
       || ARRAY(SELECT pg_catalog.format('%s %I NOT NULL', name, attname)
                FROM part JOIN pg_catalog.pg_attribute AS a ON a.attrelid = part.oid AND a.attnotnull AND a.attnum > 0
                WHERE NOT a.attisdropped AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute AS of_table
                    WHERE of_table.attrelid = c.oid AND of_table.attname = a.attname AND of_table.attnotnull)
                ORDER BY 1) AS definition
FROM pg_catalog.pg_class AS c
LEFT JOIN pg_catalog.pg_attribute AS key ON key.attrelid = c.oid AND key.attname = $2 AND NOT key.attisdropped
WHERE c.oid = pg_catalog.to_regclass($1)
