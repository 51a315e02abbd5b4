-- The steps of a rebalance: the requests of src/model/rebalance/, each one transaction. init-shards replaces these
-- functions each time, as those of write_user.sql.
--
-- Answers: 'done'; 'already' (another mover did it, or this one, whose answer was lost); 'stale' (the shard is in another
-- epoch, or its arcs are not as the mover expected; the mover must read its state again).
--
-- The caller is in READ COMMITTED: each statement after a lock sees what the lock waited for.
-- 7283001 is BARRIER of src/pg/net/advisory_lock.rs.

-- Makes the commit durable, whatever the server's default; a stronger setting stays.
CREATE OR REPLACE FUNCTION ringshard.require_durable_commit() RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF pg_catalog.current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'ringshard changes the ring only in READ COMMITTED transactions' USING ERRCODE = '25001';
    END IF;
    IF pg_catalog.current_setting('synchronous_commit') IN ('off', 'local') THEN
        PERFORM pg_catalog.set_config('synchronous_commit', 'on', true);
    END IF;
END $$;

-- Fails unless the shard was compared with the others since this server became its primary.
CREATE OR REPLACE FUNCTION ringshard.require_confirmed() RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF NOT ringshard.is_confirmed() THEN
        RAISE EXCEPTION 'another server became the primary of this shard, and was not compared with the other shards yet'
            USING ERRCODE = 'RS008';
    END IF;
END $$;

-- Announces a change to this shard. `condition`: what must hold of the shard, see `Condition`.
CREATE OR REPLACE FUNCTION ringshard.announce(
    the_epoch bigint, the_topology jsonb, the_next_topology jsonb, the_participants jsonb, condition text) RETURNS text
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM ringshard.require_durable_commit();
    PERFORM pg_catalog.set_config('lock_timeout', '5s', true);
    -- As the arbiter it decides, and must know the newest epoch. Otherwise it only learns what was decided.
    IF condition <> 'decided' THEN
        PERFORM ringshard.require_confirmed();
    END IF;
    -- Waits for receive_chunk of the epoch before, which locks the row, and then evaluates the condition again.
    UPDATE ringshard.meta
    SET epoch = the_epoch, status = 'pending', next_topology = the_next_topology, participants = the_participants, topology_md5 = NULL
    WHERE topology = the_topology AND CASE condition
        WHEN 'desired' THEN epoch = the_epoch - 1 AND status = 'done' AND desired_topology = the_next_topology
        WHEN 'canceling' THEN epoch = the_epoch - 1 AND status = 'pending'
        WHEN 'decided' THEN epoch < the_epoch
    END;
    IF FOUND THEN
        DELETE FROM ringshard.migration_progress WHERE epoch < the_epoch;
        RETURN 'done';
    END IF;
    PERFORM FROM ringshard.meta WHERE epoch = the_epoch AND CASE status
        WHEN 'pending' THEN next_topology = the_next_topology AND participants = the_participants
        ELSE topology = the_next_topology
    END;
    RETURN CASE WHEN FOUND THEN 'already' ELSE 'stale' END;
END $$;

-- Fences a chunk of an arc. The client computes the neighbouring positions, as Postgres has no arithmetic for uuids.
CREATE OR REPLACE FUNCTION ringshard.fence(
    the_epoch bigint, chunk_first uuid, chunk_last uuid, before_chunk uuid, after_chunk uuid, the_target text)
RETURNS text
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    own_arc ringshard.arc;
BEGIN
    PERFORM ringshard.require_durable_commit();
    PERFORM ringshard.require_confirmed();
    -- Later writers queue behind these locks, so the wait is short.
    PERFORM pg_catalog.set_config('lock_timeout', '500ms', true);
    -- A writer on the fast path commits before this, or sees the announcement. This lock comes first, as such a writer may
    -- wait for a row lock of a writer that waits for the barrier.
    LOCK TABLE ringshard.fast_path_lock IN EXCLUSIVE MODE;
    PERFORM pg_catalog.pg_advisory_xact_lock(7283001);
    PERFORM FROM ringshard.meta WHERE epoch = the_epoch AND status = 'pending' FOR SHARE;
    IF NOT FOUND THEN
        RETURN 'stale';
    END IF;
    SELECT * INTO own_arc FROM ringshard.arc WHERE last >= chunk_last ORDER BY last LIMIT 1;
    IF (own_arc.last, own_arc.first, own_arc.state, own_arc.epoch, own_arc.transfer_to)
       = (chunk_last, chunk_first, 'fenced', the_epoch, the_target) THEN
        RETURN 'already';
    END IF;
    -- No arc moves while a table is added or removed: its rows might stay behind.
    IF (SELECT next_topology -> 'tables' IS DISTINCT FROM topology -> 'tables' FROM ringshard.meta) THEN
        RAISE EXCEPTION 'the sharded tables are being changed' USING ERRCODE = 'RS009';
    END IF;
    -- On the way back rows must move, and what they would set off is left out by `purge`.
    IF (SELECT next_topology <> topology FROM ringshard.meta) THEN
        PERFORM ringshard.forbid_side_effects(8);
    END IF;
    -- An arc moves at most once an epoch.
    IF (own_arc.first <= chunk_first AND own_arc.state = 'owned' AND own_arc.epoch < the_epoch) IS NOT TRUE THEN
        RETURN 'stale';
    END IF;
    DELETE FROM ringshard.arc WHERE last = own_arc.last;
    IF own_arc.first < chunk_first THEN
        INSERT INTO ringshard.arc (first, last, epoch) VALUES (own_arc.first, before_chunk, own_arc.epoch);
    END IF;
    IF own_arc.last > chunk_last THEN
        INSERT INTO ringshard.arc (first, last, epoch) VALUES (after_chunk, own_arc.last, own_arc.epoch);
    END IF;
    INSERT INTO ringshard.arc (first, last, state, epoch, transfer_to, partitions)
    VALUES (chunk_first, chunk_last, 'fenced', the_epoch, the_target,
            ARRAY(SELECT sharded.part FROM ringshard.sharded_parts() AS sharded WHERE sharded.part <> sharded.relation));
    RETURN 'done';
END $$;

-- The end of a chunk from the beginning of a range: all rows of at least one key, and of more keys as long as there are at most
-- `rows_max` rows of at most `bytes_max` bytes, as they are stored. NULL: that is the whole range. A bitmap scan would read all of
-- the range, however large, for each of its chunks; Postgres chooses one as it cannot know how many rows a range has.
CREATE OR REPLACE FUNCTION ringshard.chunk_end(range_first uuid, range_last uuid, rows_max bigint, bytes_max bigint)
RETURNS uuid
LANGUAGE plpgsql STABLE SET enable_bitmapscan = off AS $$
DECLARE
    tables CONSTANT record := ringshard.tables_in_order();
    candidates text;
    in_order text;
    fits boolean;
    chunk_end uuid;
BEGIN
    SELECT pg_catalog.string_agg(rows, ' UNION ALL '),
           pg_catalog.string_agg('(' || rows || ' ORDER BY position LIMIT $3 + 1)', ' UNION ALL ')
    INTO candidates, in_order
    FROM (
        SELECT pg_catalog.format(
            'SELECT pg_catalog.md5(%1$I::text)::uuid AS position, (%2$s)::bigint AS bytes FROM %3$s '
            'WHERE pg_catalog.md5(%1$I::text)::uuid BETWEEN $1 AND $2',
            key_column, ringshard.size_of_row(relation), relation) AS rows
        FROM ROWS FROM (pg_catalog.unnest(tables.key_columns), pg_catalog.unnest(tables.relations)) AS sharded (key_column, relation)
    ) AS of_table;
    IF candidates IS NULL THEN
        RETURN NULL;
    END IF;
    -- Most ranges are one chunk; to order and add up their rows would cost several times as much.
    EXECUTE pg_catalog.format(
        'SELECT count(*) <= $3 AND coalesce(sum(bytes), 0) <= $4 FROM (SELECT bytes FROM (%s) AS candidate LIMIT $3 + 1) AS candidate',
        candidates)
    INTO fits USING range_first, range_last, rows_max, bytes_max;
    IF fits THEN
        RETURN NULL;
    END IF;
    -- The sums are over all rows of a key and of the keys before it, so they fit up to a place.
    EXECUTE pg_catalog.format(
        'SELECT CASE WHEN bool_and(fits) IS FALSE THEN (array_agg(position))[greatest(count(*) FILTER (WHERE fits), 1)] END '
        'FROM (SELECT position, count(*) OVER until <= $3 AND sum(bytes) OVER until <= $4 AS fits '
        'FROM (SELECT * FROM (%s) AS candidate ORDER BY position LIMIT $3 + 1) AS candidate '
        'WINDOW until AS (ORDER BY position)) AS summed', in_order)
    INTO chunk_end USING range_first, range_last, rows_max, bytes_max;
    RETURN chunk_end;
END $$;

-- The rows of a chunk, of all tables in the order in which they are to be stored: for each table its name and its columns, the
-- number of rows and their digest; the size of all rows as text and that of the largest; and all rows one after the other, unless
-- their text has more than `bytes_max` bytes. `names` is NULL unless the chunk is fenced exactly like this. STABLE, and so of one
-- snapshot.
CREATE OR REPLACE FUNCTION ringshard.read_chunk(
    the_epoch bigint, chunk_first uuid, chunk_last uuid, the_target text, bytes_max bigint,
    OUT names text[], OUT columns text[], OUT counts bigint[], OUT digests numeric[], OUT bytes bigint, OUT largest bigint,
    OUT rows text[])
LANGUAGE plpgsql STABLE AS $$
DECLARE
    tables CONSTANT record := ringshard.tables_in_order();
    own record;
BEGIN
    PERFORM FROM ringshard.arc
    WHERE last = chunk_last AND first = chunk_first AND state = 'fenced' AND epoch = the_epoch AND transfer_to = the_target;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    names := tables.names;
    columns := tables.columns;
    counts := '{}';
    digests := '{}';
    bytes := 0;
    largest := 0;
    rows := '{}';
    FOR index IN 1 .. pg_catalog.cardinality(names) LOOP
        EXECUTE pg_catalog.format(
            'SELECT pg_catalog.count(*) AS row_count, coalesce(pg_catalog.sum(pg_catalog.octet_length(text)), 0)::bigint AS bytes, '
            'coalesce(pg_catalog.max(pg_catalog.octet_length(text)), 0) AS largest, '
            'coalesce(pg_catalog.sum(pg_catalog.hashtextextended(text, 0)), 0) AS digest, '
            'coalesce(pg_catalog.array_agg(text) FILTER (WHERE bytes_before <= $3), ''{}'') AS rows '
            'FROM (SELECT text, pg_catalog.sum(pg_catalog.octet_length(text)) OVER (ROWS UNBOUNDED PRECEDING) AS bytes_before '
            'FROM (SELECT t.*::text AS text FROM %s AS t WHERE pg_catalog.md5(t.%I::text)::uuid BETWEEN $1 AND $2 OFFSET 0) '
            'AS stored) AS stored', tables.relations[index], tables.key_columns[index])
        INTO own USING chunk_first, chunk_last, greatest(bytes_max - bytes, 0);
        counts := counts || own.row_count;
        digests := digests || own.digest;
        bytes := bytes + own.bytes;
        largest := greatest(largest, own.largest);
        rows := rows || own.rows;
    END LOOP;
    IF bytes > bytes_max THEN
        rows := NULL;
    END IF;
END $$;

-- Begins to receive a chunk: 'done' if its rows may be stored in this transaction.
CREATE OR REPLACE FUNCTION ringshard.begin_receive(
    the_epoch bigint, chunk_first uuid, chunk_last uuid, the_source text, names text[], columns text[]) RETURNS text
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    guard text;
    effects text;
    tables record;
    other text;
BEGIN
    PERFORM ringshard.require_durable_commit();
    PERFORM ringshard.require_confirmed();
    PERFORM pg_catalog.set_config('lock_timeout', '5s', true);
    PERFORM FROM ringshard.arc WHERE first <= chunk_first AND last >= chunk_last AND state = 'owned';
    IF FOUND THEN
        RETURN 'already';
    END IF;
    -- Held to commit, so that no other epoch begins before.
    PERFORM FROM ringshard.meta WHERE epoch = the_epoch AND status = 'pending' FOR SHARE;
    IF NOT FOUND THEN
        RETURN 'stale';
    END IF;
    -- Waits for another mover that does the same.
    INSERT INTO ringshard.arc (first, last, epoch) VALUES (chunk_first, chunk_last, the_epoch)
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        PERFORM FROM ringshard.arc WHERE first <= chunk_first AND last >= chunk_last AND state = 'owned';
        RETURN CASE WHEN FOUND THEN 'already' ELSE 'stale' END;
    END IF;
    tables := ringshard.tables_in_order();
    SELECT coalesce(theirs.name, ours.name) INTO other
    FROM ROWS FROM (pg_catalog.unnest(names), pg_catalog.unnest(columns)) AS theirs (name, columns)
    FULL JOIN ROWS FROM (pg_catalog.unnest(tables.names), pg_catalog.unnest(tables.columns)) AS ours (name, columns)
         ON ours.name = theirs.name AND ours.columns = theirs.columns
    WHERE ours.name IS NULL OR theirs.name IS NULL LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'table % is not the same on shard `%`', other, the_source
            USING ERRCODE = 'RS009', HINT = 'make its columns the same, in the same order';
    END IF;
    guard := pg_catalog.set_config('ringshard.guard', 'checked', true);
    -- Nothing may fire but, on the way back, the checks of foreign keys that the rows passed here before.
    SELECT pg_catalog.string_agg(effect, ', ') INTO effects FROM ringshard.side_effects(4 | 16) AS effect
    WHERE effect NOT LIKE 'foreign key%' OR (SELECT next_topology <> topology FROM ringshard.meta);
    IF effects IS NOT NULL THEN
        RAISE EXCEPTION 'rows cannot be stored without a side effect: %', effects USING ERRCODE = 'RS006';
    END IF;
    RETURN 'done';
END $$;

-- Deletes the rows on a range that a purge of this shard left behind, and that were deleted elsewhere since then: those whose
-- primary key is not among these `rows`, as `read_chunk` returned them; without `names`, those that this transaction did not
-- store.
CREATE OR REPLACE FUNCTION ringshard.delete_left_behind(
    chunk_first uuid, chunk_last uuid, names text[], counts bigint[], rows text[]) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    replication_role CONSTANT text := pg_catalog.current_setting('session_replication_role');
    tables record;
    columns record;
    is_deleted text;
    place integer;
    before bigint;
BEGIN
    PERFORM FROM ringshard.left_behind WHERE last >= chunk_first AND first <= chunk_last;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    tables := ringshard.tables_in_order();
    -- A user deleted these, so what refers to them follows its foreign keys.
    IF replication_role = 'replica' THEN
        PERFORM pg_catalog.set_config('session_replication_role', 'origin', true);
    END IF;
    FOR index IN REVERSE pg_catalog.cardinality(tables.names) .. 1 LOOP
        is_deleted := 't.xmin <> $3';
        IF names IS NOT NULL THEN
            columns := ringshard.columns_of(tables.relations[index]);
            -- Without a primary key all are stored again.
            is_deleted := CASE WHEN columns.is_key IS NULL THEN 'true' ELSE pg_catalog.format(
                'NOT EXISTS (SELECT FROM (SELECT text::%s AS r FROM pg_catalog.unnest($4) AS text OFFSET 0) AS sent '
                'WHERE %s AND t.%I = (sent.r).%3$I)', tables.names[index], columns.is_key, tables.key_columns[index]) END;
            place := pg_catalog.array_position(names, tables.names[index]);
            before := (SELECT coalesce(pg_catalog.sum(count), 0) FROM pg_catalog.unnest(counts[1 : place - 1]) AS count);
        END IF;
        EXECUTE pg_catalog.format(
            'DELETE FROM %s AS t WHERE pg_catalog.md5(t.%I::text)::uuid BETWEEN $1 AND $2 AND %s',
            tables.relations[index], tables.key_columns[index], is_deleted)
        USING chunk_first, chunk_last, pg_catalog.pg_current_xact_id()::xid, rows[before + 1 : before + counts[place]];
    END LOOP;
    IF replication_role = 'replica' THEN
        PERFORM pg_catalog.set_config('session_replication_role', 'replica', true);
    END IF;
END $$;

-- Ends receiving a chunk: the commit is the hand-over.
CREATE OR REPLACE FUNCTION ringshard.end_receive(
    the_epoch bigint, chunk_first uuid, chunk_last uuid, the_source text, the_rows bigint, the_bytes bigint) RETURNS text
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM ringshard.delete_left_behind(chunk_first, chunk_last, NULL, NULL, NULL);
    INSERT INTO ringshard.migration_progress (epoch, source, rows, bytes)
    VALUES (the_epoch, the_source, the_rows, the_bytes)
    ON CONFLICT (epoch, source) DO UPDATE
        SET rows = migration_progress.rows + excluded.rows, bytes = migration_progress.bytes + excluded.bytes;
    RETURN 'done';
END $$;

-- Receives a chunk with its rows, as `read_chunk` returned them. The commit is the hand-over.
CREATE OR REPLACE FUNCTION ringshard.receive_chunk(
    the_epoch bigint, chunk_first uuid, chunk_last uuid, the_source text,
    names text[], columns text[], counts bigint[], digests numeric[], the_bytes bigint, rows text[]) RETURNS text
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    answer CONSTANT text := ringshard.begin_receive(
        the_epoch, chunk_first, chunk_last, the_source, names, columns);
    stored record;
    before bigint := 0;
BEGIN
    IF answer <> 'done' THEN
        RETURN answer;
    END IF;
    -- Before the others are stored, as they may be in the way of a unique constraint.
    PERFORM ringshard.delete_left_behind(chunk_first, chunk_last, names, counts, rows);
    FOR index IN 1 .. pg_catalog.cardinality(names) LOOP
        IF counts[index] > 0 THEN
            stored := ringshard.store_rows(names[index], rows[before + 1 : before + counts[index]],
                'in conflict with rows from ' || the_source || ' in epoch ' || the_epoch);
            IF (stored.row_count, stored.digest) IS DISTINCT FROM (counts[index], digests[index]) THEN
                RAISE EXCEPTION 'the stored rows of % differ from the rows that were sent', names[index]
                    USING ERRCODE = 'RS005', DETAIL = pg_catalog.format('%s rows with the digest %s instead of %s with %s',
                        stored.row_count, stored.digest, counts[index], digests[index]);
            END IF;
            before := before + counts[index];
        END IF;
    END LOOP;
    RETURN ringshard.end_receive(the_epoch, chunk_first, chunk_last, the_source, before, the_bytes);
END $$;

-- Deletes a chunk and its rows, if it is fenced exactly like this, and the shard is still in the epoch in which that was
-- decided (`decided_in`): if a server that lacks the chunk took its target over since then, a later epoch was announced. Rows of
-- a partition that was attached after the fence stay, on no arc: they may not have been among those that were handed over.
-- In the epoch of the fence the commit need not be durable: if a crash undoes it, a mover repeats it before the change can
-- finish.
CREATE OR REPLACE FUNCTION ringshard.purge(
    the_epoch bigint, chunk_first uuid, chunk_last uuid, the_target text, decided_in bigint) RETURNS text
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    guard CONSTANT text := pg_catalog.set_config('ringshard.guard', 'checked', true);
    effects text;
    tables record;
    known oid[];
    attached record;
    has_rows boolean;
BEGIN
    PERFORM ringshard.require_confirmed();
    PERFORM pg_catalog.set_config('lock_timeout', '5s', true);
    -- Held to commit, so that no other epoch begins before.
    PERFORM FROM ringshard.meta WHERE epoch = decided_in FOR SHARE;
    IF NOT FOUND THEN
        RETURN 'stale';
    END IF;
    IF decided_in > the_epoch THEN
        PERFORM ringshard.require_durable_commit();
    END IF;
    DELETE FROM ringshard.arc
    WHERE last = chunk_last AND first = chunk_first AND state = 'fenced' AND epoch = the_epoch AND transfer_to = the_target
    RETURNING partitions INTO known;
    IF NOT FOUND THEN
        RETURN 'already';
    END IF;
    -- Everything is checked before rows move. If the table has got a foreign key or a trigger since then, the rows stay, on no
    -- arc, and `receive_chunk` and `verify` know of them.
    SELECT pg_catalog.string_agg(effect, ', ') INTO effects FROM ringshard.side_effects(8) AS effect;
    IF effects IS NOT NULL THEN
        INSERT INTO ringshard.left_behind (first, last, reason) VALUES (chunk_first, chunk_last, effects)
        ON CONFLICT (last) DO UPDATE SET first = least(left_behind.first, excluded.first), reason = excluded.reason;
        RETURN 'done';
    END IF;
    tables := ringshard.tables_in_order();
    FOR index IN REVERSE pg_catalog.cardinality(tables.names) .. 1 LOOP
        EXECUTE pg_catalog.format('DELETE FROM %s AS t WHERE pg_catalog.md5(t.%I::text)::uuid BETWEEN $1 AND $2 AND %s',
            tables.relations[index], tables.key_columns[index],
            CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_class WHERE oid = tables.relations[index] AND relkind = 'p')
                 THEN 't.tableoid = ANY ($3)' ELSE 'true' END)
        USING chunk_first, chunk_last, known;
    END LOOP;
    FOR attached IN
        SELECT sharded.* FROM ringshard.sharded_parts() AS sharded JOIN pg_catalog.pg_class AS c ON c.oid = sharded.part
        WHERE sharded.part <> sharded.relation AND c.relkind <> 'p' AND NOT sharded.part = ANY (known)
    LOOP
        EXECUTE pg_catalog.format(
            'SELECT EXISTS (SELECT FROM %s AS t WHERE pg_catalog.md5(t.%I::text)::uuid BETWEEN $1 AND $2)',
            attached.part, attached.key_column)
        INTO has_rows USING chunk_first, chunk_last;
        IF has_rows THEN
            INSERT INTO ringshard.left_behind (first, last, reason)
            VALUES (chunk_first, chunk_last,
                    pg_catalog.format('the partition %s of %s was attached while they moved', attached.part, attached.name))
            ON CONFLICT (last) DO UPDATE SET first = least(left_behind.first, excluded.first), reason = excluded.reason;
        END IF;
    END LOOP;
    RETURN 'done';
END $$;

-- Owns a chunk again that was fenced in an earlier epoch and that its target does not have, if the shard is still in the epoch
-- in which that was decided: see `purge`.
CREATE OR REPLACE FUNCTION ringshard.release(
    the_epoch bigint, chunk_first uuid, chunk_last uuid, the_target text, decided_in bigint) RETURNS text
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM ringshard.require_durable_commit();
    PERFORM ringshard.require_confirmed();
    PERFORM pg_catalog.set_config('lock_timeout', '5s', true);
    PERFORM FROM ringshard.meta WHERE epoch = decided_in AND epoch > the_epoch FOR SHARE;
    IF NOT FOUND THEN
        RETURN 'stale';
    END IF;
    UPDATE ringshard.arc SET state = 'owned', transfer_to = NULL
    WHERE last = chunk_last AND first = chunk_first AND state = 'fenced' AND epoch = the_epoch AND transfer_to = the_target;
    RETURN CASE WHEN FOUND THEN 'done' ELSE 'already' END;
END $$;

-- Finishes the change: its next topology becomes the topology in force. `firsts`, `lasts` and `epochs` are the arcs as the
-- mover read them, all owned; `merged_firsts` and `merged_lasts` are the same arcs with adjacent ones merged.
CREATE OR REPLACE FUNCTION ringshard.finish(
    the_epoch bigint, firsts uuid[], lasts uuid[], epochs bigint[], merged_firsts uuid[], merged_lasts uuid[])
RETURNS text
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM ringshard.require_durable_commit();
    PERFORM ringshard.require_confirmed();
    PERFORM pg_catalog.set_config('lock_timeout', '5s', true);
    PERFORM FROM ringshard.meta WHERE epoch = the_epoch AND status = 'done';
    IF FOUND THEN
        RETURN 'already';
    END IF;
    PERFORM FROM ringshard.meta WHERE epoch = the_epoch AND status = 'pending' FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 'stale';
    END IF;
    PERFORM FROM ringshard.arc
    HAVING (coalesce(pg_catalog.array_agg(first ORDER BY last), '{}'), coalesce(pg_catalog.array_agg(last ORDER BY last), '{}'),
            coalesce(pg_catalog.array_agg(epoch ORDER BY last), '{}')) = (firsts, lasts, epochs)
       AND coalesce(pg_catalog.bool_and(state = 'owned'), true);
    IF NOT FOUND THEN
        RETURN 'stale';
    END IF;
    DELETE FROM ringshard.arc;
    INSERT INTO ringshard.arc (first, last, epoch)
    SELECT merged.first, merged.last, the_epoch
    FROM ROWS FROM (pg_catalog.unnest(merged_firsts), pg_catalog.unnest(merged_lasts)) AS merged (first, last);
    -- What came back was settled by receive_chunk.
    DELETE FROM ringshard.left_behind AS left_rows
    WHERE EXISTS (SELECT FROM ringshard.arc WHERE arc.first <= left_rows.first AND arc.last >= left_rows.last);
    UPDATE ringshard.meta SET status = 'done', topology = next_topology, next_topology = NULL, participants = NULL,
        topology_md5 = pg_catalog.md5(next_topology::text)::uuid,
        desired_topology = CASE WHEN desired_topology IS DISTINCT FROM next_topology THEN desired_topology END;
    RETURN 'done';
END $$;
