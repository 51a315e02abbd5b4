-- Unique ids, which each shard makes without asking another one. init-shards replaces these functions each time, as those of
-- write_user.sql. They run with the rights of the catalog's owner, so a role that may INSERT may use them as a default.
-- 7283001 is BARRIER and 7283008 is NEXT_ID of src/pg/net/advisory_lock.rs.

-- The next id: greater than all that this shard has made, and than those of all shards a millisecond ago, as far as their clocks
-- agree. If the clock jumps back, or a millisecond has more than 4,096 ids, the sequence runs ahead of the clock.
--
-- It must never go back, but Postgres has no way to advance a sequence to a value only if it is behind it. So nextval is called
-- under a shared lock, and setval, which brings the sequence up to the clock, under an exclusive one: nothing comes between its
-- nextval and its setval. The exclusive lock is only tried, as an id that is a little behind the clock is as unique. These are
-- locks of the session, released at once. In DECLARE, as no cancel is noticed between two initial values.
--
-- A sequence is not rolled back. After a crash it does not go behind an id of a transaction that had committed: what nextval and
-- setval write to the WAL comes before that commit (the PostgreSQL manual: "Sequence Manipulation Functions"). But nextval
-- writes for 32 values at once, and a commit flushes the WAL only if its own transaction wrote some (RecordTransactionCommit).
-- So each id writes a message, which a logical subscriber ignores.
CREATE OR REPLACE FUNCTION ringshard.next_id() RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- Before nextval does, whose error would leave the lock behind.
    IF current_setting('transaction_read_only') <> 'off' THEN
        RAISE EXCEPTION 'cannot make an id in a read-only transaction' USING ERRCODE = 'read_only_sql_transaction';
    END IF;
    FOR attempt IN 1 .. 100 LOOP
        DECLARE
            flushed_by_commit CONSTANT pg_lsn := pg_logical_emit_message(true, 'ringshard.next_id', '');
            is_locked CONSTANT boolean := pg_advisory_lock_shared(7283008) IS NULL;
            id CONSTANT bigint := nextval('ringshard.id_sequence');
            is_unlocked CONSTANT boolean := pg_advisory_unlock_shared(7283008);
            number CONSTANT bigint := id & 1023;
            clock CONSTANT bigint := ((date_part('epoch', clock_timestamp()) - 1767225600) * 1000)::bigint << 22;
        BEGIN
            IF number = 0 THEN
                RAISE EXCEPTION 'this shard makes no ids, as it is not part of the cluster yet, or any more'
                    USING ERRCODE = 'RS010', HINT = 'ringshard rebalance completes a change of the shards';
            ELSIF id >= clock THEN
                RETURN id;
            END IF;
            DECLARE
                is_alone CONSTANT boolean := pg_try_advisory_lock(7283008);
                at_clock CONSTANT bigint := CASE WHEN is_alone THEN
                    setval('ringshard.id_sequence', greatest(nextval('ringshard.id_sequence'), clock + number)) END;
                is_unlocked CONSTANT boolean := CASE WHEN is_alone THEN pg_advisory_unlock(7283008) END;
            BEGIN
                -- More than a second behind, as after a pause, it is worth to wait for the others.
                IF is_alone OR id >= clock - (1000::bigint << 22) OR attempt = 100 THEN
                    RETURN coalesce(at_clock, id);
                END IF;
            END;
        END;
        PERFORM pg_sleep(0.001);
    END LOOP;
END $$;

-- The next id that this shard owns as a sharding key: the first of those of next_id, of which it owns its share. It stays on
-- this shard until the transaction ends, by the barrier.
CREATE OR REPLACE FUNCTION ringshard.next_own_id() RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    barrier CONSTANT boolean := pg_advisory_xact_lock_shared(7283001) IS NULL;
    own_id bigint;
BEGIN
    LOOP
        -- The set is evaluated row by row, and no further than the first id that is found.
        SELECT made.id INTO own_id
        FROM (SELECT id, md5(id::text)::uuid AS position
              FROM (SELECT ringshard.next_id() AS id, generate_series(1, 1000) OFFSET 0) AS drawn OFFSET 0) AS made
        WHERE (SELECT arc.first <= made.position AND arc.state = 'owned' FROM ringshard.arc
               WHERE arc.last >= made.position ORDER BY arc.last LIMIT 1)
        LIMIT 1;
        IF FOUND THEN
            RETURN own_id;
        ELSIF NOT EXISTS (SELECT FROM ringshard.arc WHERE state = 'owned') THEN
            RAISE EXCEPTION 'shard `%` owns no part of the ring, so no id belongs to it', (SELECT shard FROM ringshard.meta)
                USING ERRCODE = 'RS010', HINT = 'connect to another shard';
        END IF;
    END LOOP;
END $$;
