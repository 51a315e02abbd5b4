-- The sharded tables of a shard, and their rows as text. init-shards replaces these functions each time, as those of
-- write_user.sql.
--
-- A row travels and is compared as the text of its record, `(1,Alice,US,)`, by the output and input functions of its columns,
-- as in a dump. So a value of any type arrives as it was, also of a type whose OID differs between databases. The settings that
-- change this text are those of sql/queries/row_text.sql, in each session that reads or stores it.

-- The sharded tables by the topology in force; `relation` is NULL if there is no such table. A topology without a list has
-- `users` alone.
CREATE OR REPLACE FUNCTION ringshard.sharded_tables(
    OUT name text, OUT key_column text, OUT key_type text, OUT relation regclass)
RETURNS SETOF record
LANGUAGE sql STABLE AS $$
    SELECT spec ->> 'name', spec ->> 'key', spec ->> 'type', pg_catalog.to_regclass(spec ->> 'name')
    FROM ringshard.meta
    CROSS JOIN LATERAL pg_catalog.jsonb_array_elements(
        coalesce(meta.topology -> 'tables', '[{"name": "public.users", "key": "user_id", "type": "bigint"}]')) AS spec
    WHERE spec ? 'key'
$$;

-- The table that a partition at any level is a part of; of another table itself.
CREATE OR REPLACE FUNCTION ringshard.table_of(part regclass) RETURNS regclass
LANGUAGE sql STABLE AS $$
    SELECT coalesce(pg_catalog.pg_partition_root(part), part)
$$;

-- The sharded tables of this shard that exist, and their partitions at any level, each with the table that it is a part of.
CREATE OR REPLACE FUNCTION ringshard.sharded_parts(
    OUT name text, OUT key_column text, OUT relation regclass, OUT part regclass)
RETURNS SETOF record
LANGUAGE sql STABLE AS $$
    SELECT sharded.name, sharded.key_column, sharded.relation, coalesce(tree.relid, sharded.relation)
    FROM ringshard.sharded_tables() AS sharded
    -- Without rows for a table that is not partitioned.
    LEFT JOIN LATERAL pg_catalog.pg_partition_tree(sharded.relation) AS tree ON true
    WHERE sharded.relation IS NOT NULL
$$;

-- The sharded tables, each after those that its foreign keys refer to: the order to store rows in; the reverse is the order to
-- delete them. `columns`: those of each table, in the order of the text of its records. Fails if a table is missing.
CREATE OR REPLACE FUNCTION ringshard.tables_in_order(
    OUT names text[], OUT key_columns text[], OUT relations regclass[], OUT columns text[])
LANGUAGE plpgsql STABLE AS $$
DECLARE
    missing text;
BEGIN
    SELECT pg_catalog.array_agg(sharded.name), pg_catalog.array_agg(sharded.key_column), pg_catalog.array_agg(sharded.relation),
           pg_catalog.min(sharded.name) FILTER (WHERE sharded.relation IS NULL)
    INTO names, key_columns, relations, missing FROM ringshard.sharded_tables() AS sharded;
    IF missing IS NOT NULL THEN
        RAISE EXCEPTION 'the table % is missing on this shard', missing USING ERRCODE = '42P01';
    END IF;
    -- One table has an order already.
    IF pg_catalog.cardinality(names) > 1 THEN
        WITH RECURSIVE reference AS (
            SELECT conrelid, confrelid
            FROM (SELECT ringshard.table_of(conrelid) AS conrelid, ringshard.table_of(confrelid) AS confrelid
                  -- Without the parts of a foreign key of a partitioned table, or to one.
                  FROM pg_catalog.pg_constraint WHERE contype = 'f' AND conparentid = 0) AS foreign_key
            WHERE conrelid <> confrelid AND conrelid = ANY (relations) AND confrelid = ANY (relations)
        ), depth AS (
            SELECT pg_catalog.unnest(relations) AS relation, 0 AS depth
            UNION
            SELECT reference.conrelid, depth.depth + 1 FROM depth JOIN reference ON reference.confrelid = depth.relation
            -- A cycle has no end.
            WHERE depth.depth < pg_catalog.cardinality(relations)
        )
        SELECT pg_catalog.array_agg(sharded.name ORDER BY deepest.depth, sharded.name),
               pg_catalog.array_agg(sharded.key_column ORDER BY deepest.depth, sharded.name),
               pg_catalog.array_agg(sharded.relation ORDER BY deepest.depth, sharded.name)
        INTO names, key_columns, relations
        FROM ringshard.sharded_tables() AS sharded
        JOIN (SELECT depth.relation, pg_catalog.max(depth.depth) AS depth FROM depth GROUP BY depth.relation) AS deepest
             ON deepest.relation = sharded.relation;
    END IF;
    names := coalesce(names, '{}');
    key_columns := coalesce(key_columns, '{}');
    relations := coalesce(relations, '{}');
    columns := ARRAY(
        SELECT (SELECT pg_catalog.string_agg(pg_catalog.quote_ident(attname), ', ' ORDER BY attnum)
                FROM pg_catalog.pg_attribute WHERE attrelid = sharded.relation AND attnum > 0 AND NOT attisdropped)
        FROM pg_catalog.unnest(relations) WITH ORDINALITY AS sharded (relation, place) ORDER BY place);
END $$;

-- Whether this shard has a row with this key, whether it is the owner or not.
CREATE OR REPLACE FUNCTION ringshard.has_key(the_key text) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
DECLARE
    own record;
    is_there boolean;
BEGIN
    FOR own IN SELECT * FROM ringshard.sharded_tables() AS sharded WHERE sharded.relation IS NOT NULL LOOP
        BEGIN
            -- Another text of the same value, such as `007`, has another position.
            EXECUTE pg_catalog.format('SELECT EXISTS (SELECT FROM %1$s WHERE %2$I = $1::%3$s AND %2$I::text = $1 COLLATE "C")',
                                      own.relation, own.key_column, own.key_type)
            INTO is_there USING the_key;
        EXCEPTION WHEN invalid_text_representation OR numeric_value_out_of_range THEN
            is_there := false;
        END;
        IF is_there THEN
            RETURN true;
        END IF;
    END LOOP;
    RETURN false;
END $$;

-- Whether a key is one row at most.
CREATE OR REPLACE FUNCTION ringshard.is_key_unique(relation regclass, key_column text) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM pg_catalog.pg_index AS i
        JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
        WHERE i.indrelid = relation AND a.attname = key_column AND i.indnkeyatts = 1
          AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL)
$$;

-- The number of rows of all sharded tables of this shard that exist.
CREATE OR REPLACE FUNCTION ringshard.count_rows() RETURNS bigint
LANGUAGE plpgsql STABLE AS $$
DECLARE
    own record;
    rows bigint;
    total bigint := 0;
BEGIN
    FOR own IN SELECT sharded.relation FROM ringshard.sharded_tables() AS sharded WHERE sharded.relation IS NOT NULL LOOP
        EXECUTE pg_catalog.format('SELECT pg_catalog.count(*) FROM %s', own.relation) INTO rows;
        total := total + rows;
    END LOOP;
    RETURN total;
END $$;

-- An expression for the size of a row in bytes as it is stored, without fetching the values that are stored apart.
CREATE OR REPLACE FUNCTION ringshard.size_of_row(relation regclass) RETURNS text
LANGUAGE plpgsql STABLE AS $$
BEGIN
    -- A row has a header of 24 bytes.
    RETURN (
        SELECT '24' || coalesce(pg_catalog.string_agg(
            CASE WHEN attlen > 0 THEN ' + ' || attlen
                 ELSE pg_catalog.format(' + coalesce(pg_catalog.pg_column_size(%I), 0)', attname) END, '' ORDER BY attnum), '')
        FROM pg_catalog.pg_attribute WHERE attrelid = relation AND attnum > 0 AND NOT attisdropped);
END $$;

-- The columns of a table that INSERT may set; those of its primary key; and those that an update of a row sets.
CREATE OR REPLACE FUNCTION ringshard.columns_of(
    relation regclass, OUT stored text, OUT stored_of_record text, OUT key text, OUT is_key text, OUT updated text)
LANGUAGE plpgsql STABLE AS $$
BEGIN
    SELECT pg_catalog.string_agg(quoted, ', ' ORDER BY attnum) FILTER (WHERE attgenerated = ''),
           pg_catalog.string_agg('(sent.r).' || quoted, ', ' ORDER BY attnum) FILTER (WHERE attgenerated = ''),
           pg_catalog.string_agg(quoted, ', ' ORDER BY attnum) FILTER (WHERE of_key),
           pg_catalog.string_agg(pg_catalog.format('t.%1$s = (sent.r).%1$s', quoted), ' AND ' ORDER BY attnum) FILTER (WHERE of_key),
           pg_catalog.string_agg(pg_catalog.format('%1$s = excluded.%1$s', quoted), ', ' ORDER BY attnum)
               FILTER (WHERE NOT of_key AND attgenerated = '' AND attidentity <> 'a')
    INTO stored, stored_of_record, key, is_key, updated
    FROM (
        SELECT pg_catalog.quote_ident(a.attname) AS quoted, a.attnum, a.attgenerated, a.attidentity,
               -- Without the columns that are only stored in its index (INCLUDE).
               coalesce(a.attnum = ANY ((i.indkey::smallint[])[0:i.indnkeyatts - 1]), false) AS of_key
        FROM pg_catalog.pg_attribute AS a
        LEFT JOIN pg_catalog.pg_index AS i ON i.indrelid = a.attrelid AND i.indisprimary
        WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped
    ) AS own_column;
END $$;

-- Stores rows in a table; returns their number and the digest of what was stored. Rows of the same primary key and sharding key
-- are not expected: those that differ are kept in the quarantine for `the_reason`, and overwritten, as a row that others refer to
-- must not be deleted. A row of the same primary key and another sharding key stays, and the new one is not stored.
CREATE OR REPLACE FUNCTION ringshard.store_rows(
    table_name text, rows text[], the_reason text, OUT row_count bigint, OUT digest numeric)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    store CONSTANT text :=
        'WITH stored AS ('
        'INSERT INTO %1$s AS t (%2$s) OVERRIDING SYSTEM VALUE SELECT %3$s FROM (%4$s) AS sent %5$s '
        'RETURNING pg_catalog.hashtextextended(t.*::text, 0) AS hash'
        ') SELECT pg_catalog.count(*), coalesce(pg_catalog.sum(hash), 0) FROM stored';
    own record;
    columns record;
    sent text;
    on_conflict text;
BEGIN
    SELECT * INTO STRICT own FROM ringshard.sharded_tables() AS sharded WHERE sharded.name = table_name;
    columns := ringshard.columns_of(own.relation);
    -- Each text is parsed once. The type has its schema, as Postgres has types like `path` and `interval`.
    sent := pg_catalog.format('SELECT text, text::%s AS r FROM pg_catalog.unnest($1) AS text OFFSET 0', own.name);
    -- The rows of a subtransaction would not seem to be of this one to `delete_left_behind`.
    IF NOT EXISTS (SELECT FROM ringshard.left_behind) THEN
        BEGIN
            EXECUTE pg_catalog.format(store, own.relation, columns.stored, columns.stored_of_record, sent, '')
            INTO row_count, digest USING rows;
            RETURN;
        EXCEPTION WHEN unique_violation THEN
            NULL;
        END;
    END IF;
    IF columns.key IS NOT NULL THEN
        -- Each is looked up by its primary key, however many rows the table has.
        EXECUTE pg_catalog.format(
            'INSERT INTO ringshard.quarantine (reason, table_name, contents) '
            'SELECT $2, $3, stored.text FROM (%1$s) AS sent CROSS JOIN LATERAL '
            '(SELECT t.*::text AS text FROM %2$s AS t WHERE %3$s AND t.%4$I = (sent.r).%4$I OFFSET 0) AS stored '
            'WHERE stored.text <> sent.text', sent, own.relation, columns.is_key, own.key_column)
        USING rows, the_reason, table_name;
        on_conflict := pg_catalog.format('ON CONFLICT (%1$s) DO UPDATE SET %2$s WHERE t.%3$I = excluded.%3$I', columns.key,
            coalesce(columns.updated, pg_catalog.format('%1$I = excluded.%1$I', own.key_column)), own.key_column);
    END IF;
    EXECUTE pg_catalog.format(store, own.relation, columns.stored, columns.stored_of_record, sent, on_conflict)
    INTO row_count, digest USING rows;
END $$;
