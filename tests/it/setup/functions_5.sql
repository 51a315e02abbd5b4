-- Kept for a test: the functions of version 5 of the catalog, as ringshard made them.

CREATE OR REPLACE FUNCTION ringshard.write_user(
    the_cluster text, the_shard text, operation text, id bigint,
    set_name boolean, new_name text, set_region boolean, new_region text, set_email boolean, new_email text,
    OUT answer text, OUT epoch bigint, OUT peer text,
    OUT user_id bigint, OUT name text, OUT region text, OUT email text)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    place CONSTANT uuid := pg_catalog.md5(id::text)::uuid;
    usual CONSTANT boolean := pg_catalog.current_setting('synchronous_commit') NOT IN ('off', 'local')
                          AND pg_catalog.current_setting('transaction_isolation') = 'read committed';
    barrier CONSTANT boolean := pg_catalog.pg_advisory_xact_lock_shared(7283001) IS NULL;
    guard_before CONSTANT text := pg_catalog.current_setting('ringshard.guard', true);
    guard text;
BEGIN
    IF NOT usual THEN
        IF pg_catalog.current_setting('synchronous_commit') IN ('off', 'local') THEN
            PERFORM pg_catalog.set_config('synchronous_commit', 'on', true);
        END IF;
        IF pg_catalog.current_setting('transaction_isolation') <> 'read committed' THEN
            PERFORM 1 FROM ringshard.arc WHERE arc.first <= place AND arc.last >= place FOR SHARE;
        END IF;
    END IF;
    SELECT CASE WHEN meta.shard <> the_shard OR meta.cluster <> the_cluster::uuid THEN 'stranger'
                WHEN arc.first <= place THEN arc.state
                ELSE 'not_here' END, meta.epoch, arc.peer
    INTO answer, epoch, peer
    FROM ringshard.meta, ringshard.arc WHERE arc.last >= place ORDER BY arc.last LIMIT 1;
    IF NOT FOUND THEN
        SELECT CASE WHEN meta.shard <> the_shard OR meta.cluster <> the_cluster::uuid THEN 'stranger'
                    ELSE 'not_here' END, meta.epoch
        INTO answer, epoch FROM ringshard.meta;
    END IF;
    IF answer IS DISTINCT FROM 'owned' THEN
        RETURN;
    END IF;
    guard := pg_catalog.set_config('ringshard.guard', 'checked', true);
    IF operation = 'create' THEN
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
    guard := pg_catalog.set_config('ringshard.guard', guard_before, true);
END $$;

CREATE OR REPLACE FUNCTION ringshard.owner_of(topology jsonb, place uuid) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT node.shard
    FROM (
        SELECT spec ->> 'name' AS shard,
               pg_catalog.md5((spec ->> 'name') || '#' || index)::uuid AS point
        FROM pg_catalog.jsonb_array_elements(topology -> 'shards') AS spec
        CROSS JOIN LATERAL pg_catalog.generate_series(0, greatest(1, pg_catalog.floor(
            (spec ->> 'weight')::float8 * (topology ->> 'virtual_nodes')::float8 + 0.5)::integer) - 1) AS index
    ) AS node
    ORDER BY node.point < place, node.point, node.shard COLLATE "C" LIMIT 1
$$;

CREATE OR REPLACE FUNCTION ringshard.refuse(stray bigint, strays bigint) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    place CONSTANT uuid := pg_catalog.md5(stray::text)::uuid;
    meta ringshard.meta;
    arc ringshard.arc;
    owner text;
    detail text;
BEGIN
    SELECT * INTO meta FROM ringshard.meta;
    SELECT * INTO arc FROM ringshard.arc AS held WHERE held.last >= place ORDER BY held.last LIMIT 1;
    detail := pg_catalog.format('position %s, epoch %s; rows of this statement that are refused: %s',
                                place, meta.epoch, strays);
    IF arc.first <= place AND arc.state = 'fenced' THEN
        RAISE EXCEPTION 'user `%` is being moved from shard `%` to `%`', stray, meta.shard, arc.peer
            USING ERRCODE = 'RS002', DETAIL = detail, HINT = 'try again in a moment';
    END IF;
    owner := ringshard.owner_of(meta.topology, place);
    IF owner = meta.shard AND meta.target IS NOT NULL THEN
        owner := ringshard.owner_of(meta.target, place);
    END IF;
    IF owner = meta.shard THEN
        RAISE EXCEPTION 'user `%` belongs on shard `%`, whose catalog lacks its arc', stray, meta.shard
            USING ERRCODE = 'RS001', DETAIL = detail, HINT = 'ringshard doctor tells more';
    END IF;
    RAISE EXCEPTION 'user `%` does not belong on shard `%`: its owner is `%`', stray, meta.shard, owner
        USING ERRCODE = 'RS001', DETAIL = detail,
              HINT = pg_catalog.format('connect to `%s`, or let ringshard find the way: ringshard get-user %s, '
                                       'create-user, update-user or delete-user', owner, stray);
END $$;

CREATE OR REPLACE FUNCTION ringshard.guard() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    barrier CONSTANT boolean := pg_catalog.pg_advisory_xact_lock_shared(7283001) IS NULL;
    is_strict CONSTANT boolean := pg_catalog.current_setting('transaction_isolation') <> 'read committed';
    is_many CONSTANT boolean := EXISTS (SELECT FROM these OFFSET 50);
    stray bigint;
    strays bigint;
BEGIN
    SELECT pg_catalog.min(written.user_id), pg_catalog.count(*) INTO stray, strays
    FROM (SELECT user_id, pg_catalog.md5(user_id::text)::uuid AS place FROM these OFFSET 0) AS written
    WHERE CASE
        WHEN is_strict THEN (SELECT arc.first <= place AND arc.state = 'owned' FROM ringshard.arc
                          WHERE arc.last >= place ORDER BY arc.last LIMIT 1 FOR SHARE)
        WHEN is_many THEN place <= (SELECT pg_catalog.array_agg(arc.last ORDER BY arc.last) FROM ringshard.arc
                                 WHERE arc.state = 'owned')[pg_catalog.width_bucket(place,
                                (SELECT pg_catalog.array_agg(arc.first ORDER BY arc.last) FROM ringshard.arc
                                 WHERE arc.state = 'owned'))]
        ELSE (SELECT arc.first <= place AND arc.state = 'owned' FROM ringshard.arc
              WHERE arc.last >= place ORDER BY arc.last LIMIT 1)
    END IS NOT TRUE;
    IF strays > 0 THEN
        PERFORM ringshard.refuse(stray, strays);
    END IF;
    IF TG_OP <> 'UPDATE' THEN
        RETURN NULL;
    END IF;
    SELECT pg_catalog.min(written.user_id), pg_catalog.count(*) INTO stray, strays
    FROM (SELECT user_id, pg_catalog.md5(user_id::text)::uuid AS place FROM those OFFSET 0) AS written
    WHERE CASE
        WHEN is_strict THEN (SELECT arc.first <= place AND arc.state = 'owned' FROM ringshard.arc
                          WHERE arc.last >= place ORDER BY arc.last LIMIT 1 FOR SHARE)
        WHEN is_many THEN place <= (SELECT pg_catalog.array_agg(arc.last ORDER BY arc.last) FROM ringshard.arc
                                 WHERE arc.state = 'owned')[pg_catalog.width_bucket(place,
                                (SELECT pg_catalog.array_agg(arc.first ORDER BY arc.last) FROM ringshard.arc
                                 WHERE arc.state = 'owned'))]
        ELSE (SELECT arc.first <= place AND arc.state = 'owned' FROM ringshard.arc
              WHERE arc.last >= place ORDER BY arc.last LIMIT 1)
    END IS NOT TRUE;
    IF strays > 0 THEN
        PERFORM ringshard.refuse(stray, strays);
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION ringshard.guard_truncate() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    barrier CONSTANT boolean := pg_catalog.pg_advisory_xact_lock_shared(7283001) IS NULL;
    stray bigint;
    strays bigint;
BEGIN
    IF pg_catalog.current_setting('transaction_isolation') <> 'read committed' THEN
        PERFORM 1 FROM ringshard.arc FOR SHARE;
    END IF;
    SELECT pg_catalog.min(written.user_id), pg_catalog.count(*) INTO stray, strays
    FROM (SELECT user_id, pg_catalog.md5(user_id::text)::uuid AS place FROM public.users OFFSET 0) AS written
    WHERE (place <= (SELECT pg_catalog.array_agg(arc.last ORDER BY arc.last) FROM ringshard.arc
                     WHERE arc.state = 'owned')[pg_catalog.width_bucket(place,
                    (SELECT pg_catalog.array_agg(arc.first ORDER BY arc.last) FROM ringshard.arc
                     WHERE arc.state = 'owned'))]) IS NOT TRUE;
    IF strays > 0 THEN
        PERFORM ringshard.refuse(stray, strays);
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION ringshard.be_durable() RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF pg_catalog.current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'the ring is changed in READ COMMITTED transactions only' USING ERRCODE = '25001';
    END IF;
    IF pg_catalog.current_setting('synchronous_commit') IN ('off', 'local') THEN
        PERFORM pg_catalog.set_config('synchronous_commit', 'on', true);
    END IF;
END $$;

CREATE OR REPLACE FUNCTION ringshard.announce(
    the_epoch bigint, the_topology jsonb, the_target jsonb, the_members jsonb, condition text) RETURNS text
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM ringshard.be_durable();
    PERFORM pg_catalog.set_config('lock_timeout', '5s', true);
    UPDATE ringshard.meta
    SET epoch = the_epoch, status = 'pending', target = the_target, members = the_members, ring = NULL
    WHERE topology = the_topology AND CASE condition
        WHEN 'wanted' THEN epoch = the_epoch - 1 AND status = 'done' AND wanted = the_target
        WHEN 'taken_back' THEN epoch = the_epoch - 1 AND status = 'pending'
        WHEN 'decided' THEN epoch < the_epoch
    END;
    IF FOUND THEN
        DELETE FROM ringshard.moved WHERE epoch < the_epoch;
        RETURN 'done';
    END IF;
    PERFORM FROM ringshard.meta WHERE epoch = the_epoch AND CASE status
        WHEN 'pending' THEN target = the_target AND members = the_members
        ELSE topology = the_target
    END;
    RETURN CASE WHEN FOUND THEN 'already' ELSE 'stale' END;
END $$;

CREATE OR REPLACE FUNCTION ringshard.fence(
    the_epoch bigint, chunk_first uuid, chunk_last uuid, before_chunk uuid, behind_chunk uuid, the_target text)
RETURNS text
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    held ringshard.arc;
BEGIN
    PERFORM ringshard.be_durable();
    PERFORM pg_catalog.set_config('lock_timeout', '500ms', true);
    LOCK TABLE ringshard.at_rest IN EXCLUSIVE MODE;
    PERFORM pg_catalog.pg_advisory_xact_lock(7283001);
    PERFORM FROM ringshard.meta WHERE epoch = the_epoch AND status = 'pending' FOR SHARE;
    IF NOT FOUND THEN
        RETURN 'stale';
    END IF;
    SELECT * INTO held FROM ringshard.arc WHERE last >= chunk_last ORDER BY last LIMIT 1;
    IF held = ROW (chunk_last, chunk_first, 'fenced', the_epoch, the_target)::ringshard.arc THEN
        RETURN 'already';
    END IF;
    IF (held.first <= chunk_first AND held.state = 'owned' AND held.epoch < the_epoch) IS NOT TRUE THEN
        RETURN 'stale';
    END IF;
    DELETE FROM ringshard.arc WHERE last = held.last;
    IF held.first < chunk_first THEN
        INSERT INTO ringshard.arc (first, last, epoch) VALUES (held.first, before_chunk, held.epoch);
    END IF;
    IF held.last > chunk_last THEN
        INSERT INTO ringshard.arc (first, last, epoch) VALUES (behind_chunk, held.last, held.epoch);
    END IF;
    INSERT INTO ringshard.arc (first, last, state, epoch, peer)
    VALUES (chunk_first, chunk_last, 'fenced', the_epoch, the_target);
    RETURN 'done';
END $$;

CREATE OR REPLACE FUNCTION ringshard.adopt(
    the_epoch bigint, chunk_first uuid, chunk_last uuid, the_source text,
    ids bigint[], names text[], regions text[], emails text[], the_bytes bigint, the_digest text) RETURNS text
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    guard text;
    found_digest text;
BEGIN
    PERFORM ringshard.be_durable();
    PERFORM pg_catalog.set_config('lock_timeout', '5s', true);
    PERFORM FROM ringshard.arc WHERE first <= chunk_first AND last >= chunk_last AND state = 'owned';
    IF FOUND THEN
        RETURN 'already';
    END IF;
    PERFORM FROM ringshard.meta WHERE epoch = the_epoch AND status = 'pending' FOR SHARE;
    IF NOT FOUND THEN
        RETURN 'stale';
    END IF;
    INSERT INTO ringshard.arc (first, last, epoch) VALUES (chunk_first, chunk_last, the_epoch)
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        PERFORM FROM ringshard.arc WHERE first <= chunk_first AND last >= chunk_last AND state = 'owned';
        RETURN CASE WHEN FOUND THEN 'already' ELSE 'stale' END;
    END IF;
    guard := pg_catalog.set_config('ringshard.guard', 'checked', true);
    LOOP
        BEGIN
            WITH stored AS (
                INSERT INTO public.users (user_id, name, region, email)
                SELECT * FROM ROWS FROM (pg_catalog.unnest(ids), pg_catalog.unnest(names), pg_catalog.unnest(regions),
                                         pg_catalog.unnest(emails)) AS sent (user_id, name, region, email)
                RETURNING user_id, name, region, email
            )
            SELECT pg_catalog.md5(pg_catalog.array_send(coalesce(pg_catalog.array_agg(user_id), '{}'))
                || pg_catalog.array_send(coalesce(pg_catalog.array_agg(name), '{}')::text[])
                || pg_catalog.array_send(coalesce(pg_catalog.array_agg(region), '{}')::text[])
                || pg_catalog.array_send(coalesce(pg_catalog.array_agg(email), '{}')::text[]))
            INTO found_digest FROM (SELECT * FROM stored ORDER BY user_id) AS chunk;
            EXIT;
        EXCEPTION WHEN unique_violation THEN
            WITH stray AS (
                DELETE FROM public.users WHERE user_id = ANY (ids) RETURNING user_id, name, region, email
            )
            INSERT INTO ringshard.quarantine (reason, user_id, name, region, email)
            SELECT 'in the way of rows from ' || the_source || ' in epoch ' || the_epoch, user_id, name, region, email
            FROM stray;
            IF NOT FOUND THEN
                RAISE;
            END IF;
        END;
    END LOOP;
    IF found_digest <> the_digest THEN
        RAISE EXCEPTION 'the rows that arrived are not those that were sent'
            USING ERRCODE = 'RS005', DETAIL = pg_catalog.format('digest %s instead of %s', found_digest, the_digest);
    END IF;
    INSERT INTO ringshard.moved (epoch, source, rows, bytes)
    VALUES (the_epoch, the_source, pg_catalog.cardinality(ids), the_bytes)
    ON CONFLICT (epoch, source) DO UPDATE
        SET rows = moved.rows + excluded.rows, bytes = moved.bytes + excluded.bytes;
    RETURN 'done';
END $$;

CREATE OR REPLACE FUNCTION ringshard.purge(
    the_epoch bigint, chunk_first uuid, chunk_last uuid, the_target text) RETURNS text
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    guard CONSTANT text := pg_catalog.set_config('ringshard.guard', 'checked', true);
BEGIN
    PERFORM pg_catalog.set_config('lock_timeout', '5s', true);
    PERFORM FROM ringshard.meta WHERE epoch > the_epoch;
    IF FOUND THEN
        PERFORM ringshard.be_durable();
    END IF;
    DELETE FROM ringshard.arc
    WHERE last = chunk_last AND first = chunk_first AND state = 'fenced' AND epoch = the_epoch AND peer = the_target;
    IF NOT FOUND THEN
        RETURN 'already';
    END IF;
    DELETE FROM public.users WHERE pg_catalog.md5(user_id::text)::uuid BETWEEN chunk_first AND chunk_last;
    RETURN 'done';
END $$;

CREATE OR REPLACE FUNCTION ringshard.release(
    the_epoch bigint, chunk_first uuid, chunk_last uuid, the_target text) RETURNS text
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM ringshard.be_durable();
    PERFORM pg_catalog.set_config('lock_timeout', '5s', true);
    PERFORM FROM ringshard.meta WHERE epoch > the_epoch FOR SHARE;
    IF NOT FOUND THEN
        RETURN 'stale';
    END IF;
    UPDATE ringshard.arc SET state = 'owned', peer = NULL
    WHERE last = chunk_last AND first = chunk_first AND state = 'fenced' AND epoch = the_epoch AND peer = the_target;
    RETURN CASE WHEN FOUND THEN 'done' ELSE 'already' END;
END $$;

CREATE OR REPLACE FUNCTION ringshard.finish(
    the_epoch bigint, firsts uuid[], lasts uuid[], epochs bigint[], merged_firsts uuid[], merged_lasts uuid[])
RETURNS text
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM ringshard.be_durable();
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
    UPDATE ringshard.meta SET status = 'done', topology = target, target = NULL, members = NULL,
        ring = pg_catalog.md5(target::text)::uuid,
        wanted = CASE WHEN wanted IS DISTINCT FROM target THEN wanted END;
    RETURN 'done';
END $$;

CREATE OR REPLACE FUNCTION ringshard.replace_primary(
    the_shard text, the_incarnation bigint, the_url text, the_replicas text[], old_url text, the_epoch bigint)
RETURNS text
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM ringshard.be_durable();
    PERFORM pg_catalog.set_config('lock_timeout', '5s', true);
    PERFORM FROM ringshard.address WHERE shard = the_shard AND incarnation > the_incarnation;
    IF FOUND THEN
        RETURN 'stale';
    END IF;
    INSERT INTO ringshard.address (shard, url, replicas, incarnation)
    VALUES (the_shard, the_url, the_replicas, the_incarnation)
    ON CONFLICT (shard) DO UPDATE
        SET url = excluded.url, replicas = excluded.replicas, incarnation = excluded.incarnation;
    UPDATE ringshard.meta SET
        incarnation = CASE shard WHEN the_shard THEN the_incarnation ELSE incarnation END,
        retired = (retired || pg_catalog.jsonb_build_object(old_url, the_shard)) - the_url,
        epoch = CASE WHEN status = 'done' AND epoch = the_epoch - 1 THEN the_epoch ELSE epoch END;
    RETURN 'done';
END $$;

CREATE OR REPLACE FUNCTION ringshard.restate(
    seen_epoch bigint, seen_firsts uuid[], seen_lasts uuid[], seen_epochs bigint[], seen_peers text[],
    the_epoch bigint, the_topology jsonb, the_target jsonb, the_members jsonb,
    firsts uuid[], lasts uuid[], epochs bigint[], peers text[], is_at_rest boolean, the_dead text, dead_url text)
RETURNS text
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    guard CONSTANT text := pg_catalog.set_config('ringshard.guard', 'checked', true);
BEGIN
    PERFORM ringshard.be_durable();
    PERFORM pg_catalog.set_config('lock_timeout', '5s', true);
    LOCK TABLE ringshard.at_rest IN EXCLUSIVE MODE;
    PERFORM pg_catalog.pg_advisory_xact_lock(7283001);
    PERFORM FROM ringshard.meta WHERE epoch = seen_epoch FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 'stale';
    END IF;
    PERFORM FROM ringshard.arc
    HAVING (coalesce(pg_catalog.array_agg(first ORDER BY last), '{}'), coalesce(pg_catalog.array_agg(last ORDER BY last), '{}'),
            coalesce(pg_catalog.array_agg(epoch ORDER BY last), '{}'), coalesce(pg_catalog.array_agg(peer ORDER BY last), '{}'))
           IS NOT DISTINCT FROM (seen_firsts, seen_lasts, seen_epochs, seen_peers);
    IF NOT FOUND THEN
        RETURN 'stale';
    END IF;
    DELETE FROM ringshard.arc;
    INSERT INTO ringshard.arc (first, last, epoch, peer, state)
    SELECT stated.first, stated.last, stated.epoch, stated.peer,
           CASE WHEN stated.peer IS NULL THEN 'owned' ELSE 'fenced' END
    FROM ROWS FROM (pg_catalog.unnest(firsts), pg_catalog.unnest(lasts), pg_catalog.unnest(epochs),
                    pg_catalog.unnest(peers)) AS stated (first, last, epoch, peer);
    WITH stray AS (
        DELETE FROM public.users WHERE NOT EXISTS (
            SELECT FROM ringshard.arc
            WHERE ringshard.position_range(arc.first, arc.last, '[]') @> pg_catalog.md5(users.user_id::text)::uuid)
        RETURNING user_id, name, region, email
    )
    INSERT INTO ringshard.quarantine (reason, user_id, name, region, email)
    SELECT 'on no arc of this shard since epoch ' || the_epoch, user_id, name, region, email FROM stray;
    UPDATE ringshard.meta SET epoch = the_epoch, topology = the_topology, target = the_target, members = the_members,
        status = CASE WHEN the_target IS NULL THEN 'done' ELSE 'pending' END, wanted = NULL,
        ring = CASE WHEN is_at_rest THEN pg_catalog.md5(the_topology::text)::uuid END,
        retired = CASE WHEN dead_url IS NULL THEN retired
                       ELSE retired || pg_catalog.jsonb_build_object(dead_url, the_dead) END;
    DELETE FROM ringshard.address WHERE shard = the_dead;
    RETURN 'done';
END $$;

CREATE OR REPLACE FUNCTION ringshard.retire(the_shard text, new_name text, the_epoch bigint, the_topology jsonb)
RETURNS text
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM ringshard.be_durable();
    PERFORM pg_catalog.set_config('lock_timeout', '5s', true);
    LOCK TABLE ringshard.at_rest IN EXCLUSIVE MODE;
    PERFORM pg_catalog.pg_advisory_xact_lock(7283001);
    UPDATE ringshard.meta SET shard = new_name, epoch = the_epoch, topology = the_topology, status = 'done',
        target = NULL, members = NULL, wanted = NULL, ring = NULL
    WHERE shard IN (the_shard, new_name);
    IF NOT FOUND THEN
        RETURN 'stale';
    END IF;
    DELETE FROM ringshard.arc;
    DELETE FROM ringshard.import;
    RETURN 'done';
END $$;
