-- Kept for a test: the catalog and the functions of version 1, as ringshard made them.

-- The catalog of one shard: what the shard knows of its cluster, and which positions it owns.
-- Run once, in the transaction that also makes `users` and writes the shard's own rows.

CREATE SCHEMA ringshard;
COMMENT ON SCHEMA ringshard IS 'ringshard: who owns which part of the ring. Changed by ringshard alone.';

-- Positions are uuids: 128 bits, compared as unsigned big-endian integers.
CREATE TYPE ringshard.position_range AS RANGE (subtype = uuid);

CREATE TABLE ringshard.meta (
    only_row        boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    catalog_version integer NOT NULL,
    cluster         uuid    NOT NULL,
    shard           text    NOT NULL,
    epoch           bigint  NOT NULL CHECK (epoch >= 1),
    -- `pending` while a change of the topology is under way, which is then described by `target`.
    status          text    NOT NULL DEFAULT 'done' CHECK (status IN ('done', 'pending')),
    topology        jsonb   NOT NULL,
    target          jsonb,
    CHECK ((status = 'pending') = (target IS NOT NULL))
);
COMMENT ON TABLE ringshard.meta IS 'This shard''s cluster, name, epoch and topology; one row.';

CREATE TABLE ringshard.arc (
    last  uuid   PRIMARY KEY,
    first uuid   NOT NULL,
    state text   NOT NULL DEFAULT 'owned' CHECK (state IN ('owned', 'fenced')),
    -- The epoch in which this shard took, or let go of, the arc.
    epoch bigint NOT NULL,
    -- Whom a fenced arc is on its way to.
    peer  text,
    CHECK (first <= last),
    CHECK ((state = 'fenced') = (peer IS NOT NULL)),
    EXCLUDE USING gist (ringshard.position_range(first, last, '[]') WITH &&)
);
COMMENT ON TABLE ringshard.arc IS 'The positions that this shard answers for: inclusive ranges that never wrap.';

CREATE TABLE ringshard.address (
    shard text PRIMARY KEY,
    url   text NOT NULL
);
COMMENT ON TABLE ringshard.address IS 'How to reach each shard of the cluster, without any password.';

-- How rows are written: the statement proves that this shard owns the key, and says the epoch.
-- Run at each initialisation: CREATE OR REPLACE, so that a newer ringshard brings newer ones.
--
-- Answers: 'done', 'exists', 'not_found'; 'fenced' (the key is on its way to another shard), 'not_here',
-- 'stranger' (this is the database of another shard or cluster).

-- A write, 'create', 'update' or 'delete', in its own transaction with the proof that this shard owns the
-- key. An update sets the fields whose flag is true. Returns the row: as it is then, or as it was deleted.
-- One function and no helper: a nested call costs a tenth of a write.
CREATE OR REPLACE FUNCTION ringshard.write_user(
    the_cluster text, the_shard text, operation text, id bigint,
    set_name boolean, new_name text, set_region boolean, new_region text, set_email boolean, new_email text,
    OUT answer text, OUT epoch bigint, OUT peer text,
    OUT user_id bigint, OUT name text, OUT region text, OUT email text)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    place CONSTANT uuid := pg_catalog.md5(id::text)::uuid;
    -- Whether this transaction is as this function would have it: then nothing needs to be done about it.
    usual CONSTANT boolean := pg_catalog.current_setting('synchronous_commit') NOT IN ('off', 'local')
                          AND pg_catalog.current_setting('transaction_isolation') = 'read committed';
    -- The barrier, held to commit. (An assignment is faster than PERFORM: no query is planned for it.)
    barrier CONSTANT boolean := pg_catalog.pg_advisory_xact_lock_shared(7283001) IS NULL;
BEGIN
    IF NOT usual THEN
        -- An acknowledged write is on disk, whatever the server's default; a stronger one stays.
        IF pg_catalog.current_setting('synchronous_commit') IN ('off', 'local') THEN
            PERFORM pg_catalog.set_config('synchronous_commit', 'on', true);
        END IF;
        -- In the stricter isolation levels the snapshot is older than the barrier: there the arc itself is
        -- locked, and a change of it since then ends this transaction with a serialization failure.
        IF pg_catalog.current_setting('transaction_isolation') <> 'read committed' THEN
            PERFORM 1 FROM ringshard.arc WHERE arc.first <= place AND arc.last >= place FOR SHARE;
        END IF;
    END IF;
    -- A new statement, and so a new snapshot, which sees what the barrier waited for.
    SELECT CASE WHEN meta.shard <> the_shard OR meta.cluster <> the_cluster::uuid THEN 'stranger'
                WHEN arc.first <= place THEN arc.state
                ELSE 'not_here' END, meta.epoch, arc.peer
    INTO answer, epoch, peer
    FROM ringshard.meta, ringshard.arc WHERE arc.last >= place ORDER BY arc.last LIMIT 1;
    IF NOT FOUND THEN
        -- The place lies behind all of this shard's arcs.
        SELECT CASE WHEN meta.shard <> the_shard OR meta.cluster <> the_cluster::uuid THEN 'stranger'
                    ELSE 'not_here' END, meta.epoch
        INTO answer, epoch FROM ringshard.meta;
    END IF;
    IF answer IS DISTINCT FROM 'owned' THEN
        RETURN;
    ELSIF operation = 'create' THEN
        INSERT INTO public.users (user_id, name, region, email)
        VALUES (id, new_name, new_region, new_email) ON CONFLICT (user_id) DO NOTHING;
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
END $$;
