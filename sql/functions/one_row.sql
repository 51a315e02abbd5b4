-- One row of a sharded table whose key is unique, by its key: the commands about users, where `users` has other columns than
-- those of the Python prototype. init-shards replaces these functions each time, as those of write_user.sql.
--
-- Values are texts, as the input and output functions of their types take and write them with the settings of
-- sql/queries/row_text.sql, which are settings of these functions. `given`: an object of texts and nulls by column.

-- The table; fails if it is missing, or if its key does not identify a row.
CREATE OR REPLACE FUNCTION ringshard.table_of_rows(
    table_name text, OUT relation regclass, OUT key_column text, OUT key_type text)
LANGUAGE plpgsql STABLE AS $$
BEGIN
    SELECT sharded.relation, sharded.key_column, sharded.key_type INTO relation, key_column, key_type
    FROM ringshard.sharded_tables() AS sharded WHERE sharded.name = table_name;
    IF relation IS NULL THEN
        RAISE EXCEPTION 'the table % is missing on this shard', table_name USING ERRCODE = '42P01';
    END IF;
    PERFORM FROM pg_catalog.pg_index AS i
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
    WHERE i.indrelid = relation AND a.attname = key_column AND i.indnkeyatts = 1
      AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the key `%` of % is not unique, so it does not name one row', key_column, relation
            USING ERRCODE = 'RS011';
    END IF;
END $$;

-- The row with this key: its columns, their types, and their values; NULL if there is none. `is_as_given`: whether it has the
-- given values.
CREATE OR REPLACE FUNCTION ringshard.read_row(
    table_name text, the_key text, given json,
    OUT columns text[], OUT types oid[], OUT contents text[], OUT is_as_given boolean)
LANGUAGE plpgsql STABLE
SET DateStyle = 'ISO, YMD' SET IntervalStyle = 'postgres' SET TimeZone = 'UTC' SET extra_float_digits = 3
SET bytea_output = 'hex' SET lc_monetary = 'C' AS $$
DECLARE
    own CONSTANT record := ringshard.table_of_rows(table_name);
    texts text;
    comparison text;
BEGIN
    SELECT pg_catalog.array_agg(attname ORDER BY attnum), pg_catalog.array_agg(atttypid ORDER BY attnum),
           pg_catalog.string_agg(pg_catalog.format('t.%I::text', attname), ', ' ORDER BY attnum),
           pg_catalog.string_agg(pg_catalog.format('t.%1$I::text IS NOT DISTINCT FROM sent.%1$I::text', attname), ' AND ')
               FILTER (WHERE given -> attname IS NOT NULL)
    INTO columns, types, texts, comparison
    FROM pg_catalog.pg_attribute WHERE attrelid = own.relation AND attnum > 0 AND NOT attisdropped;
    EXECUTE pg_catalog.format(
        'SELECT ARRAY[%s], %s FROM %s AS t CROSS JOIN LATERAL pg_catalog.json_populate_record(t, $2) AS sent '
        'WHERE t.%I = $1::%s', texts, coalesce(comparison, 'true'), own.relation, own.key_column, own.key_type)
    INTO contents, is_as_given USING the_key, ringshard.values_of_row(own.relation, given);
END $$;

-- The object for `json_populate_record`: JSON itself for columns of JSON, texts for the others. Fails if one is no column.
CREATE OR REPLACE FUNCTION ringshard.values_of_row(relation regclass, given json) RETURNS json
LANGUAGE plpgsql STABLE AS $$
DECLARE
    unknown text;
    typed json;
BEGIN
    WITH RECURSIVE base AS (
        SELECT attname, atttypid AS type FROM pg_catalog.pg_attribute
        WHERE attrelid = relation AND attnum > 0 AND NOT attisdropped
        UNION ALL
        SELECT base.attname, of.typbasetype FROM base JOIN pg_catalog.pg_type AS of ON of.oid = base.type
        WHERE of.typbasetype <> 0
    ), own_column AS (
        SELECT attname, pg_catalog.bool_or(type IN ('json'::regtype, 'jsonb'::regtype)) AS is_json FROM base GROUP BY attname
    )
    SELECT pg_catalog.min(name) FILTER (WHERE attname IS NULL),
           pg_catalog.json_object_agg(name, CASE WHEN is_json THEN (given ->> name)::json ELSE given -> name END)
    INTO unknown, typed
    FROM pg_catalog.json_object_keys(given) AS name LEFT JOIN own_column ON attname = name;
    IF unknown IS NOT NULL THEN
        RAISE EXCEPTION 'the table % has no column `%`', relation, unknown USING ERRCODE = 'RS012';
    END IF;
    RETURN coalesce(typed, '{}');
END $$;

-- Fails where a trigger or a rule of the user's own kept a row as it was, left it out, or gave it another key.
CREATE OR REPLACE FUNCTION ringshard.raise_other_key(relation regclass, the_key text) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RAISE EXCEPTION 'a trigger or a rule of % does not let the row with the key `%` be written as requested', relation, the_key
        USING ERRCODE = 'RS007';
END $$;

-- Writes the row with this key, if this shard owns it: 'create', 'update' or 'delete'. Answers as `write_user` does, with the
-- stored or deleted row as `read_row` returns it. The guard checks each row again.
CREATE OR REPLACE FUNCTION ringshard.write_row(
    the_cluster text, the_shard text, client_version integer, known_epoch bigint,
    operation text, table_name text, the_key text, given json,
    OUT answer text, OUT epoch bigint, OUT transfer_to text,
    OUT columns text[], OUT types oid[], OUT contents text[], OUT is_as_given boolean)
LANGUAGE plpgsql VOLATILE
SET DateStyle = 'ISO, YMD' SET IntervalStyle = 'postgres' SET TimeZone = 'UTC' SET extra_float_digits = 3
SET bytea_output = 'hex' SET lc_monetary = 'C' AS $$
DECLARE
    proof CONSTANT record :=
        ringshard.prove_owner(the_cluster, the_shard, client_version, known_epoch, pg_catalog.md5(the_key)::uuid);
    own record;
    written bigint;
    names text;
    sent text;
BEGIN
    answer := proof.answer;
    epoch := proof.epoch;
    transfer_to := proof.transfer_to;
    IF answer IS DISTINCT FROM 'owned' THEN
        RETURN;
    END IF;
    own := ringshard.table_of_rows(table_name);
    SELECT pg_catalog.string_agg(pg_catalog.quote_ident(name), ', '),
           pg_catalog.string_agg('sent.' || pg_catalog.quote_ident(name), ', ')
    INTO names, sent FROM pg_catalog.json_object_keys(given) AS name;
    IF operation = 'create' THEN
        EXECUTE pg_catalog.format(
            'INSERT INTO %1$s (%2$s) OVERRIDING SYSTEM VALUE '
            'SELECT %3$s FROM pg_catalog.json_populate_record(NULL::%1$s, $1) AS sent ON CONFLICT (%4$I) DO NOTHING',
            own.relation, names, sent, own.key_column)
        USING ringshard.values_of_row(own.relation, given);
        GET DIAGNOSTICS written = ROW_COUNT;
        answer := CASE WHEN written = 1 THEN 'done' ELSE 'exists' END;
    ELSIF operation = 'update' THEN
        EXECUTE pg_catalog.format(
            'UPDATE %s AS t SET (%s) = (SELECT %s FROM pg_catalog.json_populate_record(t, $2) AS sent) WHERE t.%I = $1::%s',
            own.relation, names, sent, own.key_column, own.key_type)
        USING the_key, ringshard.values_of_row(own.relation, given);
        GET DIAGNOSTICS written = ROW_COUNT;
        answer := CASE WHEN written = 1 THEN 'done' ELSE 'not_found' END;
    ELSIF operation = 'delete' THEN
        EXECUTE pg_catalog.format('SELECT FROM %s AS t WHERE t.%I = $1::%s FOR UPDATE', own.relation, own.key_column, own.key_type)
        USING the_key;
    ELSE
        RAISE EXCEPTION 'no such operation: %', operation;
    END IF;
    SELECT found.columns, found.types, found.contents, found.is_as_given INTO columns, types, contents, is_as_given
    FROM ringshard.read_row(table_name, the_key, given) AS found;
    IF operation = 'delete' THEN
        EXECUTE pg_catalog.format('DELETE FROM %s AS t WHERE t.%I = $1::%s', own.relation, own.key_column, own.key_type)
        USING the_key;
        answer := CASE WHEN contents IS NULL THEN 'not_found' ELSE 'done' END;
        EXECUTE pg_catalog.format('SELECT FROM %s AS t WHERE t.%I = $1::%s', own.relation, own.key_column, own.key_type)
        USING the_key;
        GET DIAGNOSTICS written = ROW_COUNT;
        IF written > 0 THEN
            PERFORM ringshard.raise_other_key(own.relation, the_key);
        END IF;
    ELSIF (contents IS NULL) <> (answer = 'not_found') THEN
        PERFORM ringshard.raise_other_key(own.relation, the_key);
    END IF;
END $$;
