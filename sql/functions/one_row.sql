-- One row of a sharded table whose key is unique, by its key: the commands about users, where `users` has other columns than
-- those of the Python prototype. init-shards replaces these functions each time, as those of write_user.sql.
--
-- Values are texts, as the input and output functions of their types take and write them with the settings of
-- sql/queries/row_text.sql. Only what reads or compares texts has these settings: a default such as CURRENT_DATE, or a trigger of
-- the user's own, has those of the server. `given`: an object of texts and nulls by column.

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
    IF NOT ringshard.is_key_unique(relation, key_column) THEN
        RAISE EXCEPTION 'the key `%` of % is not unique, so it does not name one row', key_column, relation
            USING ERRCODE = 'RS011';
    END IF;
END $$;

-- The type that a domain is made of, at any depth; of another type itself.
CREATE OR REPLACE FUNCTION ringshard.base_type(of_column oid) RETURNS oid
LANGUAGE sql STABLE AS $$
    WITH RECURSIVE base AS (
        SELECT of_column AS type
        UNION ALL
        SELECT of.typbasetype FROM base JOIN pg_catalog.pg_type AS of ON of.oid = base.type WHERE of.typbasetype <> 0
    )
    SELECT base.type FROM base JOIN pg_catalog.pg_type AS of ON of.oid = base.type WHERE of.typbasetype = 0
$$;

-- What reads `given` as `sent`, by `json_to_record`: its columns with their types, and the value of each. JSON is read from its
-- text, as a `null` in it is no NULL. Fails if a name is no column.
CREATE OR REPLACE FUNCTION ringshard.given_columns(
    relation regclass, given json, OUT names text[], OUT definitions text, OUT expressions text[])
LANGUAGE plpgsql STABLE AS $$
DECLARE
    unknown text;
BEGIN
    SELECT pg_catalog.min(name) FILTER (WHERE attname IS NULL),
           pg_catalog.array_agg(name::text ORDER BY attnum),
           pg_catalog.string_agg(pg_catalog.format('%I %s', name, CASE WHEN is_json THEN 'text' ELSE type END), ', ' ORDER BY attnum),
           pg_catalog.array_agg(pg_catalog.format('sent.%I', name) || CASE WHEN is_json THEN '::' || type ELSE '' END ORDER BY attnum)
    INTO unknown, names, definitions, expressions
    FROM pg_catalog.json_object_keys(given) AS name
    LEFT JOIN (
        SELECT attname, attnum, pg_catalog.format_type(atttypid, atttypmod) AS type,
               ringshard.base_type(atttypid) IN ('json'::regtype, 'jsonb'::regtype) AS is_json
        FROM pg_catalog.pg_attribute WHERE attrelid = relation AND attnum > 0 AND NOT attisdropped
    ) AS own_column ON attname = name;
    IF unknown IS NOT NULL THEN
        RAISE EXCEPTION 'the table % has no column `%`', relation, unknown USING ERRCODE = 'RS012';
    END IF;
END $$;

-- The given values as their types write them, which is read alike with any settings. Fails if a column does not take one.
CREATE OR REPLACE FUNCTION ringshard.canonical_values(relation regclass, given json) RETURNS json
LANGUAGE plpgsql STABLE
SET DateStyle = 'ISO, YMD' SET IntervalStyle = 'postgres' SET TimeZone = 'UTC' SET extra_float_digits = 3
SET bytea_output = 'hex' SET lc_monetary = 'C' SET xmloption = 'content' AS $$
DECLARE
    sent CONSTANT record := ringshard.given_columns(relation, given);
    canonical json;
BEGIN
    EXECUTE pg_catalog.format(
        'SELECT pg_catalog.json_object($2, ARRAY[%s]) FROM pg_catalog.json_to_record($1) AS sent (%s)',
        (SELECT pg_catalog.string_agg('(' || expression || ')::text', ', ' ORDER BY place)
         FROM pg_catalog.unnest(sent.expressions) WITH ORDINALITY AS of_sent (expression, place)),
        sent.definitions)
    INTO canonical USING given, sent.names;
    RETURN canonical;
END $$;

-- The row with this key: its columns, their types without domains, and their values, which are NULL if there is no row.
-- `is_as_given`: whether it has the given values.
CREATE OR REPLACE FUNCTION ringshard.read_row(
    table_name text, the_key text, given json,
    OUT columns text[], OUT types oid[], OUT contents text[], OUT is_as_given boolean)
LANGUAGE plpgsql STABLE
SET DateStyle = 'ISO, YMD' SET IntervalStyle = 'postgres' SET TimeZone = 'UTC' SET extra_float_digits = 3
SET bytea_output = 'hex' SET lc_monetary = 'C' SET xmloption = 'content' AS $$
DECLARE
    own CONSTANT record := ringshard.table_of_rows(table_name);
    canonical CONSTANT json := CASE WHEN given::text = '{}' THEN given ELSE ringshard.canonical_values(own.relation, given) END;
    texts text;
BEGIN
    SELECT pg_catalog.array_agg(attname ORDER BY attnum),
           pg_catalog.array_agg(ringshard.base_type(atttypid) ORDER BY attnum),
           pg_catalog.string_agg(pg_catalog.format('t.%I::text', attname), ', ' ORDER BY attnum)
    INTO columns, types, texts
    FROM pg_catalog.pg_attribute WHERE attrelid = own.relation AND attnum > 0 AND NOT attisdropped;
    -- Another text may be equal by the collation of the key, and has another position.
    EXECUTE pg_catalog.format('SELECT ARRAY[%s] FROM %s AS t WHERE t.%I = $1::%s AND t.%3$I::text = $1 COLLATE "C"',
                              texts, own.relation, own.key_column, own.key_type)
    INTO contents USING the_key;
    is_as_given := contents IS NOT NULL AND NOT EXISTS (
        SELECT FROM ROWS FROM (pg_catalog.unnest(columns), pg_catalog.unnest(contents)) AS stored (name, text)
        WHERE canonical -> stored.name IS NOT NULL AND canonical ->> stored.name IS DISTINCT FROM stored.text);
END $$;

-- Writes the row with this key, if this shard owns it: 'create', 'update' or 'delete'. Answers as `write_user` does, with the
-- stored or deleted row as `read_row` returns it. The guard checks each row again.
CREATE OR REPLACE FUNCTION ringshard.write_row(
    the_cluster text, the_shard text, client_version integer, known_epoch bigint,
    operation text, table_name text, the_key text, given json,
    OUT answer text, OUT epoch bigint, OUT transfer_to text,
    OUT columns text[], OUT types oid[], OUT contents text[], OUT is_as_given boolean)
LANGUAGE plpgsql VOLATILE
-- With another setting the text of a sum of money, or of a piece of XML, is another value or none. No default depends on these.
SET lc_monetary = 'C' SET xmloption = 'content' AS $$
DECLARE
    proof CONSTANT record :=
        ringshard.prove_owner(the_cluster, the_shard, client_version, known_epoch, pg_catalog.md5(the_key)::uuid);
    own record;
    sent record;
    is_key text;
    canonical json;
    stored record;
    written bigint;
BEGIN
    answer := proof.answer;
    epoch := proof.epoch;
    transfer_to := proof.transfer_to;
    IF answer IS DISTINCT FROM 'owned' THEN
        RETURN;
    END IF;
    own := ringshard.table_of_rows(table_name);
    is_key := pg_catalog.format('t.%I = $1::%s AND t.%1$I::text = $1 COLLATE "C"', own.key_column, own.key_type);
    IF operation <> 'delete' THEN
        sent := ringshard.given_columns(own.relation, given);
        canonical := ringshard.canonical_values(own.relation, given);
    END IF;
    IF operation = 'create' THEN
        EXECUTE pg_catalog.format(
            'INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE SELECT %s FROM pg_catalog.json_to_record($1) AS sent (%s) '
            'ON CONFLICT (%I) DO NOTHING',
            own.relation, (SELECT pg_catalog.string_agg(pg_catalog.quote_ident(name), ', ') FROM pg_catalog.unnest(sent.names) AS name),
            pg_catalog.array_to_string(sent.expressions, ', '), sent.definitions, own.key_column)
        USING canonical;
        GET DIAGNOSTICS written = ROW_COUNT;
        answer := CASE WHEN written = 1 THEN 'done' ELSE 'exists' END;
    ELSIF operation = 'update' THEN
        EXECUTE pg_catalog.format(
            'UPDATE %s AS t SET %s FROM pg_catalog.json_to_record($2) AS sent (%s) WHERE %s',
            own.relation,
            (SELECT pg_catalog.string_agg(pg_catalog.format('%I = %s', name, expression), ', ')
             FROM ROWS FROM (pg_catalog.unnest(sent.names), pg_catalog.unnest(sent.expressions)) AS of_sent (name, expression)),
            sent.definitions, is_key)
        USING the_key, canonical;
        GET DIAGNOSTICS written = ROW_COUNT;
        answer := CASE WHEN written = 1 THEN 'done' ELSE 'not_found' END;
    ELSIF operation = 'delete' THEN
        -- What it was is read once nobody can change it any more.
        EXECUTE pg_catalog.format('SELECT FROM %s AS t WHERE %s FOR UPDATE', own.relation, is_key) USING the_key;
    ELSE
        RAISE EXCEPTION 'no such operation: %', operation;
    END IF;
    SELECT own_row.* INTO stored FROM ringshard.read_row(table_name, the_key, coalesce(canonical, '{}')) AS own_row;
    IF operation = 'delete' AND stored.contents IS NULL THEN
        answer := 'not_found';
    ELSIF operation = 'delete' THEN
        EXECUTE pg_catalog.format('DELETE FROM %s AS t WHERE %s', own.relation, is_key) USING the_key;
        GET DIAGNOSTICS written = ROW_COUNT;
        answer := CASE WHEN written = 1 THEN 'done' ELSE 'kept' END;
    END IF;
    -- A trigger or a rule may have kept the row, left it out, or given it another key. Without them another session may have
    -- deleted a row that exists, or made one that did not.
    IF answer = 'kept' OR answer = 'done' AND stored.contents IS NULL
       OR ((stored.contents IS NULL) <> (answer = 'not_found') AND ringshard.has_own_triggers(own.relation)) THEN
        RAISE EXCEPTION 'a trigger or a rule of % does not let the row with the key `%` be written as requested', own.relation, the_key
            USING ERRCODE = 'RS007';
    END IF;
    columns := stored.columns;
    types := stored.types;
    contents := stored.contents;
    is_as_given := stored.is_as_given;
END $$;
