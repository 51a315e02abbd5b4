-- When a server is gone: a replica takes its shard over, other shards take its arcs over, and what is left of it does
-- not serve. Run at each initialisation, as functions.sql is; the answers are those of moves.sql.

-- A shard has another primary. Each shard is told; the new primary itself first, which thereby becomes it.
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
        -- A change that is under way has an epoch of its own, in which its arcs move.
        epoch = CASE WHEN status = 'done' AND epoch = the_epoch - 1 THEN the_epoch ELSE epoch END;
    RETURN 'done';
END $$;

-- Puts what this shard says of the ring in place of what it said (`seen_`), if it still says so. Rows that lie on none
-- of its arcs then are set aside. `is_at_rest`: the arcs are those of the topology's ring. `the_dead`: a shard that is no
-- part of the cluster any more, and where it was.
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
    -- Who has proved that this shard owns a position writes before this, or looks again.
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

-- What is left of a shard that was replaced or removed gets a name of its own and owns nothing from here on: no client
-- that looks for the shard takes this for it. Its rows stay. Writers that are at it are waited for.
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
