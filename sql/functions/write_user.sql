-- Writes one user, if this shard owns the key. init-shards replaces the function each time (CREATE OR REPLACE), so that a
-- newer ringshard installs its own version.
--
-- Answers: 'done', 'exists', 'not_found'; 'fenced' (the key is being moved to the shard `transfer_to`), 'not_owner',
-- 'wrong_shard' (this is the database of another shard or cluster, or its catalog has another version than `client_version`,
-- that of the client); 'unconfirmed' (another server became the primary, see ringshard.is_confirmed); 'late' (the shard is in
-- an epoch before `known_epoch`, so this may be a stale primary); 'policy' (row_security is not off, so a policy could hide the
-- row; a pooler dropped that setting); 'other_columns' (`users` is not the table of the Python prototype). Each answer has the
-- shard's epoch.
--
-- `operation` is 'create', 'update' or 'delete'. An update sets the fields whose flag is true. Returns the stored or
-- deleted row.
-- 7283001 is BARRIER of src/pg/net/advisory_lock.rs.

-- Fails where a trigger or a rule of the user's own kept the row as it was, left it out, or gave it another id. Returns
-- nothing; the type is that of a column where it is called.
CREATE OR REPLACE FUNCTION ringshard.raise_other_row(id bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RAISE EXCEPTION 'a trigger or a rule of `users` does not let user `%` be written as requested', id
        USING ERRCODE = 'RS007';
END $$;

-- Whether a table has triggers or rules of the user's own.
CREATE OR REPLACE FUNCTION ringshard.has_own_triggers(relation regclass) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM pg_catalog.pg_trigger AS t JOIN pg_catalog.pg_proc AS p ON p.oid = t.tgfoid
        WHERE t.tgrelid = relation AND NOT t.tgisinternal AND t.tgenabled <> 'D'
          AND p.pronamespace <> 'ringshard'::regnamespace
    ) OR EXISTS (SELECT FROM pg_catalog.pg_rewrite WHERE ev_class = relation)
$$;

-- Whether `users` has them.
CREATE OR REPLACE FUNCTION ringshard.has_user_triggers() RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT ringshard.has_own_triggers(pg_catalog.to_regclass('public.users'))
$$;

-- Whether this shard owns a position, for a write in this transaction: 'owned', or the answer of the write. Each caller's next
-- statement has a snapshot after the barrier, which is held to commit.
CREATE OR REPLACE FUNCTION ringshard.prove_owner(
    the_cluster text, the_shard text, client_version integer, known_epoch bigint, "position" uuid,
    OUT answer text, OUT epoch bigint, OUT transfer_to text)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    -- Whether durability and isolation level are already as required.
    is_usual CONSTANT boolean := pg_catalog.current_setting('synchronous_commit') NOT IN ('off', 'local')
                          AND pg_catalog.current_setting('transaction_isolation') = 'read committed';
    -- The barrier, held to commit. (An assignment is faster than PERFORM, which plans a query.)
    barrier CONSTANT boolean := pg_catalog.pg_advisory_xact_lock_shared(7283001) IS NULL;
BEGIN
    IF NOT is_usual THEN
        -- An acknowledged write is on disk, whatever the server's default; a stronger setting stays.
        IF pg_catalog.current_setting('synchronous_commit') IN ('off', 'local') THEN
            PERFORM pg_catalog.set_config('synchronous_commit', 'on', true);
        END IF;
        -- In stricter isolation levels the snapshot may be older than the barrier. So the arc is locked: if it changed
        -- since the snapshot, this fails with a serialization failure.
        IF pg_catalog.current_setting('transaction_isolation') <> 'read committed' THEN
            PERFORM 1 FROM ringshard.arc WHERE arc.first <= position AND arc.last >= position FOR SHARE;
        END IF;
    END IF;
    -- A new statement has a new snapshot, which sees what the barrier waited for.
    SELECT CASE WHEN meta.shard <> the_shard OR meta.cluster <> the_cluster::uuid
                     OR meta.catalog_version <> client_version THEN 'wrong_shard'
                WHEN meta.timeline <> pg_catalog.left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 8) THEN 'unconfirmed'
                WHEN meta.epoch < known_epoch THEN 'late'
                WHEN arc.first <= position THEN arc.state
                ELSE 'not_owner' END, meta.epoch, arc.transfer_to
    INTO answer, epoch, transfer_to
    FROM ringshard.meta, ringshard.arc WHERE arc.last >= position ORDER BY arc.last LIMIT 1;
    IF NOT FOUND THEN
        -- The position is after all arcs of this shard.
        SELECT CASE WHEN meta.shard <> the_shard OR meta.cluster <> the_cluster::uuid
                     OR meta.catalog_version <> client_version THEN 'wrong_shard'
                    WHEN meta.timeline <> pg_catalog.left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 8) THEN 'unconfirmed'
                    WHEN meta.epoch < known_epoch THEN 'late'
                    ELSE 'not_owner' END, meta.epoch
        INTO answer, epoch FROM ringshard.meta;
    END IF;
    IF answer = 'owned' AND pg_catalog.current_setting('row_security') <> 'off' THEN
        answer := 'policy';
    END IF;
END $$;

CREATE OR REPLACE FUNCTION ringshard.write_user(
    the_cluster text, the_shard text, client_version integer, known_epoch bigint, operation text, id bigint,
    set_name boolean, new_name text, set_region boolean, new_region text, set_email boolean, new_email text,
    OUT answer text, OUT epoch bigint, OUT transfer_to text,
    OUT user_id bigint, OUT name text, OUT region text, OUT email text)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    proof CONSTANT record :=
        ringshard.prove_owner(the_cluster, the_shard, client_version, known_epoch, pg_catalog.md5(id::text)::uuid);
    guard_before CONSTANT text := pg_catalog.current_setting('ringshard.guard', true);
    guard text;
BEGIN
    answer := proof.answer;
    epoch := proof.epoch;
    transfer_to := proof.transfer_to;
    IF answer IS DISTINCT FROM 'owned' THEN
        RETURN;
    END IF;
    IF NOT (SELECT coalesce(meta.topology -> 'tables' @> '[{"prototype": true}]', true) FROM ringshard.meta) THEN
        answer := 'other_columns';
        RETURN;
    END IF;
    -- Ownership is proved, so the triggers (guard.sql) need not check again. (A SET clause of the function would do the
    -- same, but only a superuser may create one.)
    guard := pg_catalog.set_config('ringshard.guard', 'checked', true);
    IF operation = 'create' THEN
        INSERT INTO public.users (user_id, name, region, email)
        VALUES (id, new_name, new_region, new_email) ON CONFLICT (user_id) DO NOTHING
        RETURNING users.user_id, users.name, users.region, users.email INTO user_id, name, region, email;
        answer := CASE WHEN FOUND THEN 'done' ELSE 'exists' END;
    ELSIF operation = 'update' THEN
        UPDATE public.users SET
            name = CASE WHEN set_name THEN new_name ELSE users.name END,
            region = CASE WHEN set_region THEN new_region ELSE users.region END,
            email = CASE WHEN set_email THEN new_email ELSE users.email END
        WHERE users.user_id = id
        RETURNING users.user_id, users.name, users.region, users.email INTO user_id, name, region, email;
        answer := CASE WHEN FOUND THEN 'done' ELSE 'not_found' END;
    ELSIF operation = 'delete' THEN
        DELETE FROM public.users WHERE users.user_id = id
        RETURNING users.user_id, users.name, users.region, users.email INTO user_id, name, region, email;
        answer := CASE WHEN FOUND THEN 'done' ELSE 'not_found' END;
    ELSE
        RAISE EXCEPTION 'no such operation: %', operation;
    END IF;
    guard := pg_catalog.set_config('ringshard.guard', guard_before, true);
    -- A trigger may have changed the id, or kept the row: a row that is there was not updated or deleted, and one that is not
    -- there does not exist.
    IF user_id <> id THEN
        PERFORM ringshard.raise_other_row(id);
    ELSIF answer <> 'done' AND ringshard.has_user_triggers() THEN
        PERFORM FROM public.users WHERE users.user_id = id;
        IF FOUND <> (answer = 'exists') THEN
            PERFORM ringshard.raise_other_row(id);
        END IF;
    END IF;
END $$;
