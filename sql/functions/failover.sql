-- Failover: a replica takes over a shard, other shards take over the arcs of a dead shard, and a stale primary is fenced.
-- init-shards replaces these functions each time, as those of write_user.sql. The answers are those of rebalance.sql.
-- 7283001 is BARRIER of src/pg/net/advisory_lock.rs.

-- The timeline of this primary, as in the names of the files of its write-ahead log. (Statements about users have the same
-- expression, as a call costs more than it.)
CREATE OR REPLACE FUNCTION ringshard.current_timeline() RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT pg_catalog.left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 8)
$$;

-- What identifies the server, from its control file; NULL if it cannot be read, as where the data folder was moved under the
-- running server.
CREATE OR REPLACE FUNCTION ringshard.system_identifier() RETURNS bigint
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN system_identifier FROM pg_catalog.pg_control_system();
EXCEPTION WHEN undefined_file OR insufficient_privilege THEN
    RETURN NULL;
END $$;

-- Whether this server is the one, and on the timeline, on which the shard was last compared with the others. A server that
-- somebody else promoted is on another timeline, and may lack what its old primary gave away or received.
CREATE OR REPLACE FUNCTION ringshard.is_confirmed() RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN true
           ELSE timeline = ringshard.current_timeline()
                AND coalesce(system_identifier = ringshard.system_identifier(), true) END
    FROM ringshard.meta
$$;

-- Begins to confirm this server: gives it an incarnation after `known`, the latest that the other shards know of. Returns it. If
-- another client has begun before, it is the same one: then both may go on. Until the end `timeline` is the present one after
-- a `~`.
CREATE OR REPLACE FUNCTION ringshard.begin_to_confirm(known bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    begun CONSTANT text := '~' || ringshard.current_timeline();
BEGIN
    PERFORM ringshard.require_durable_commit();
    PERFORM pg_catalog.set_config('lock_timeout', '5s', true);
    UPDATE ringshard.meta SET incarnation = greatest(incarnation, known) + 1, timeline = begun
    WHERE NOT ringshard.is_confirmed() AND (timeline <> begun OR incarnation < known);
    RETURN incarnation FROM ringshard.meta;
END $$;

-- Makes this server the confirmed primary of its shard, if it is still as it was compared: in the epoch `seen_epoch`, and of the
-- incarnation that ringshard.begin_to_confirm gave it. `the_epoch`: the new epoch, unless a change is under way.
CREATE OR REPLACE FUNCTION ringshard.confirm_primary(seen_epoch bigint, the_incarnation bigint, the_epoch bigint) RETURNS text
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    current CONSTANT text := ringshard.current_timeline();
BEGIN
    PERFORM ringshard.require_durable_commit();
    PERFORM pg_catalog.set_config('lock_timeout', '5s', true);
    UPDATE ringshard.meta SET
        timeline = current,
        system_identifier = coalesce(ringshard.system_identifier(), system_identifier),
        epoch = CASE status WHEN 'done' THEN greatest(epoch, the_epoch) ELSE epoch END
    WHERE epoch = seen_epoch AND timeline = '~' || current AND incarnation = the_incarnation;
    IF NOT FOUND THEN
        RETURN 'stale';
    END IF;
    UPDATE ringshard.shard_endpoint SET incarnation = the_incarnation
    FROM ringshard.meta WHERE shard_endpoint.shard = meta.shard;
    RETURN 'done';
END $$;

-- Records on another shard that a server took `the_shard` over, and begins the epoch `the_epoch` there, unless that is NULL.
-- 'stale': a change or a later epoch has begun.
CREATE OR REPLACE FUNCTION ringshard.record_incarnation(
    the_shard text, the_incarnation bigint, the_topology jsonb, the_epoch bigint) RETURNS text
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM ringshard.require_durable_commit();
    PERFORM pg_catalog.set_config('lock_timeout', '5s', true);
    IF the_epoch IS NOT NULL THEN
        UPDATE ringshard.meta SET epoch = the_epoch
        WHERE status = 'done' AND epoch <= the_epoch AND topology = the_topology;
        IF NOT FOUND THEN
            RETURN 'stale';
        END IF;
    END IF;
    UPDATE ringshard.shard_endpoint SET incarnation = the_incarnation
    WHERE shard = the_shard AND incarnation < the_incarnation;
    RETURN 'done';
END $$;

-- Records that a shard has another primary. Called on each shard; first on the new primary, which thereby takes over.
CREATE OR REPLACE FUNCTION ringshard.replace_primary(
    the_shard text, the_incarnation bigint, the_url text, the_replicas text[], old_url text, the_epoch bigint)
RETURNS text
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM ringshard.require_durable_commit();
    PERFORM pg_catalog.set_config('lock_timeout', '5s', true);
    PERFORM FROM ringshard.shard_endpoint WHERE shard = the_shard AND incarnation > the_incarnation;
    IF FOUND THEN
        RETURN 'stale';
    END IF;
    INSERT INTO ringshard.shard_endpoint (shard, url, replicas, incarnation)
    VALUES (the_shard, the_url, the_replicas, the_incarnation)
    ON CONFLICT (shard) DO UPDATE
        SET url = excluded.url, replicas = excluded.replicas, incarnation = excluded.incarnation;
    UPDATE ringshard.meta SET
        incarnation = CASE shard WHEN the_shard THEN the_incarnation ELSE incarnation END,
        timeline = CASE shard WHEN the_shard THEN ringshard.current_timeline()
                   ELSE timeline END,
        system_identifier = CASE shard WHEN the_shard THEN coalesce(ringshard.system_identifier(), system_identifier)
                            ELSE system_identifier END,
        stale_endpoints = (stale_endpoints || pg_catalog.jsonb_build_object(old_url, the_shard)) - the_url,
        -- A change under way keeps its epoch, in which its arcs move. A confirmation that was interrupted may have begun later
        -- epochs on some shards alone. A server that is not confirmed may have missed a change, whose end it would seem to know
        -- in a later epoch: it gets the epoch when it is confirmed.
        epoch = CASE WHEN status = 'done' AND epoch < the_epoch AND (shard = the_shard OR ringshard.is_confirmed())
                THEN the_epoch ELSE epoch END;
    RETURN 'done';
END $$;

-- Replaces epoch, topology, change and arcs of this shard, if epoch and arcs still are as they were read (`seen_`). Rows on
-- none of the new arcs go to the quarantine. `is_stable`: the arcs are exactly those of the topology. `dead_shard` and
-- `dead_url`: a shard that leaves the cluster, and its address.
CREATE OR REPLACE FUNCTION ringshard.overwrite_state(
    seen_epoch bigint, seen_firsts uuid[], seen_lasts uuid[], seen_epochs bigint[], seen_transfers_to text[],
    the_epoch bigint, the_topology jsonb, the_next_topology jsonb, the_participants jsonb,
    firsts uuid[], lasts uuid[], epochs bigint[], transfers_to text[], is_stable boolean, dead_shard text, dead_url text)
RETURNS text
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    guard CONSTANT text := pg_catalog.set_config('ringshard.guard', 'checked', true);
    tables record;
    is_misplaced text;
    is_any boolean;
BEGIN
    PERFORM ringshard.require_durable_commit();
    PERFORM pg_catalog.set_config('lock_timeout', '5s', true);
    -- A writer that checked the old arcs commits before this; a later one sees the new arcs.
    LOCK TABLE ringshard.fast_path_lock IN EXCLUSIVE MODE;
    PERFORM pg_catalog.pg_advisory_xact_lock(7283001);
    PERFORM FROM ringshard.meta WHERE epoch = seen_epoch FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 'stale';
    END IF;
    PERFORM FROM ringshard.arc
    HAVING (coalesce(pg_catalog.array_agg(first ORDER BY last), '{}'), coalesce(pg_catalog.array_agg(last ORDER BY last), '{}'),
            coalesce(pg_catalog.array_agg(epoch ORDER BY last), '{}'), coalesce(pg_catalog.array_agg(transfer_to ORDER BY last), '{}'))
           IS NOT DISTINCT FROM (seen_firsts, seen_lasts, seen_epochs, seen_transfers_to);
    IF NOT FOUND THEN
        RETURN 'stale';
    END IF;
    DELETE FROM ringshard.arc;
    INSERT INTO ringshard.arc (first, last, epoch, transfer_to, state)
    SELECT stated.first, stated.last, stated.epoch, stated.transfer_to,
           CASE WHEN stated.transfer_to IS NULL THEN 'owned' ELSE 'fenced' END
    FROM ROWS FROM (pg_catalog.unnest(firsts), pg_catalog.unnest(lasts), pg_catalog.unnest(epochs),
                    pg_catalog.unnest(transfers_to)) AS stated (first, last, epoch, transfer_to);
    tables := ringshard.tables_in_order();
    FOR index IN REVERSE pg_catalog.cardinality(tables.names) .. 1 LOOP
        is_misplaced := pg_catalog.format(
            'NOT EXISTS (SELECT FROM ringshard.arc WHERE ringshard.position_range(arc.first, arc.last, ''[]'') '
            '@> pg_catalog.md5(t.%I::text)::uuid)', tables.key_columns[index]);
        EXECUTE pg_catalog.format('SELECT EXISTS (SELECT FROM %s AS t WHERE %s)', tables.relations[index], is_misplaced)
        INTO is_any;
        IF is_any THEN
            PERFORM ringshard.forbid_side_effects(8);
            EXECUTE pg_catalog.format(
                'WITH misplaced AS (DELETE FROM %s AS t WHERE %s RETURNING t.*::text AS contents) '
                'INSERT INTO ringshard.quarantine (reason, table_name, contents) SELECT $1, $2, contents FROM misplaced',
                tables.relations[index], is_misplaced)
            USING 'on no arc of this shard since epoch ' || the_epoch, tables.names[index];
        END IF;
    END LOOP;
    UPDATE ringshard.meta SET epoch = the_epoch, topology = the_topology, next_topology = the_next_topology, participants = the_participants,
        status = CASE WHEN the_next_topology IS NULL THEN 'done' ELSE 'pending' END,
        desired_topology = CASE WHEN dead_shard IS NULL AND desired_topology IS DISTINCT FROM the_topology THEN desired_topology END,
        topology_md5 = CASE WHEN is_stable THEN pg_catalog.md5(the_topology::text)::uuid END,
        stale_endpoints = CASE WHEN dead_url IS NULL THEN stale_endpoints
                               ELSE stale_endpoints || pg_catalog.jsonb_build_object(dead_url, dead_shard) END;
    DELETE FROM ringshard.shard_endpoint WHERE shard = dead_shard;
    RETURN 'done';
END $$;

-- Fences the stale primary of a shard that was replaced or removed: it gets another name and owns nothing, so no client
-- takes it for the shard. Its rows stay. Waits for writers in progress.
CREATE OR REPLACE FUNCTION ringshard.fence_stale_primary(the_shard text, new_name text, the_epoch bigint, the_topology jsonb)
RETURNS text
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM ringshard.require_durable_commit();
    PERFORM pg_catalog.set_config('lock_timeout', '5s', true);
    LOCK TABLE ringshard.fast_path_lock IN EXCLUSIVE MODE;
    PERFORM pg_catalog.pg_advisory_xact_lock(7283001);
    UPDATE ringshard.meta SET shard = new_name, epoch = the_epoch, topology = the_topology, status = 'done',
        next_topology = NULL, participants = NULL, desired_topology = NULL, topology_md5 = NULL
    WHERE shard IN (the_shard, new_name);
    IF NOT FOUND THEN
        RETURN 'stale';
    END IF;
    DELETE FROM ringshard.arc;
    DELETE FROM ringshard.import;
    RETURN 'done';
END $$;
