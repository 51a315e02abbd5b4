-- The route for other programs: which shard owns a key, and proof of it beside a statement. docs/routing.md is the contract.
-- init-shards replaces these functions each time, as those of write_user.sql. They run with the rights of the catalog's owner, so
-- a program needs rights on its tables only.
-- 7283001 is BARRIER of src/pg/net/advisory_lock.rs.

-- Where a position lies as far as this shard knows. It knows for certain of its own arcs alone, of which `state` tells: 'owned',
-- 'fenced' (on its way to `shard`), 'returning' (a change was canceled, and nobody knows where it is), 'lacking' (it should be
-- here, and is not); NULL if another shard is the owner. Its callers have set the search path, which would cost as much as all of it.
CREATE OR REPLACE FUNCTION ringshard.known_owner(
    key_position uuid, OUT shard text, OUT number integer, OUT url text, OUT epoch bigint, OUT state text)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
BEGIN
    SELECT CASE WHEN is_here THEN meta.shard
                ELSE coalesce(own_arc.transfer_to, CASE WHEN is_elsewhere THEN ring.shard ELSE ring.next_shard END) END,
           meta.epoch,
           CASE WHEN own_arc.state IS NOT NULL THEN own_arc.state
                WHEN is_elsewhere OR ring.next_shard <> meta.shard THEN NULL
                WHEN meta.next_topology = meta.topology THEN 'returning' ELSE 'lacking' END
    INTO shard, epoch, state
    FROM ringshard.meta
    CROSS JOIN LATERAL (
        (SELECT ring.shard, ring.next_shard FROM ringshard.ring WHERE ring.last >= key_position ORDER BY ring.last LIMIT 1)
        UNION ALL
        -- A large ring is not in the table.
        SELECT current.shard, next.shard
        FROM (SELECT of.shard FROM ringshard.points_of(meta.topology) AS of ORDER BY of.point < key_position, of.point LIMIT 1) AS current,
             (SELECT of.shard FROM ringshard.points_of(coalesce(meta.next_topology, meta.topology)) AS of
              ORDER BY of.point < key_position, of.point LIMIT 1) AS next
        WHERE NOT EXISTS (SELECT FROM ringshard.ring)
    ) AS ring
    LEFT JOIN LATERAL (SELECT * FROM ringshard.arc WHERE arc.last >= key_position ORDER BY arc.last LIMIT 1) AS own_arc
        ON own_arc.first <= key_position
    CROSS JOIN LATERAL (SELECT own_arc.state IS NOT DISTINCT FROM 'owned' AS is_here, ring.shard <> meta.shard AS is_elsewhere) AS place;
    SELECT of.number INTO number
    FROM ringshard.meta
    CROSS JOIN LATERAL pg_catalog.unnest(ARRAY[meta.topology, meta.next_topology]) AS either
    CROSS JOIN LATERAL ringshard.shards_of(either) AS of
    WHERE of.shard = known_owner.shard LIMIT 1;
    IF number IS NULL THEN
        -- A shard that joined by a change that was canceled.
        SELECT ring.next_number INTO number FROM ringshard.ring WHERE ring.next_shard = known_owner.shard LIMIT 1;
    END IF;
    SELECT shard_endpoint.url INTO url FROM ringshard.shard_endpoint WHERE shard_endpoint.shard = known_owner.shard;
END $$;

-- The text of a key, as it is hashed: as its column prints it. Fails for a type that no key has: the text of the number 42.0 is not
-- that of 42. An untyped parameter arrives as text, and then the type is that of the sharding keys, if they have one.
CREATE OR REPLACE FUNCTION ringshard.key_text(key anycompatible) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
    types text[];
BEGIN
    IF key IS NULL THEN
        RAISE EXCEPTION 'a sharding key is not NULL' USING ERRCODE = 'null_value_not_allowed';
    ELSIF pg_catalog.pg_typeof(key)::oid IN (20, 21, 23, 2950) THEN
        RETURN key::text;
    ELSIF pg_catalog.pg_typeof(key)::oid NOT IN (25, 1043) THEN
        RAISE EXCEPTION 'a sharding key has no type %', pg_catalog.pg_typeof(key) USING ERRCODE = 'datatype_mismatch',
            HINT = 'a key is smallint, integer, bigint, text, varchar or uuid';
    END IF;
    SELECT pg_catalog.array_agg(DISTINCT sharded.key_type) INTO types FROM ringshard.sharded_tables() AS sharded;
    IF types <@ ARRAY['smallint', 'integer', 'bigint'] THEN
        RETURN (key::text)::bigint::text;
    ELSIF types = ARRAY['uuid'] THEN
        RETURN (key::text)::uuid::text;
    ELSIF NOT types && ARRAY['text', 'character varying'] THEN
        RAISE EXCEPTION 'the sharding keys of this cluster have several types, and none is text' USING ERRCODE = 'datatype_mismatch',
            HINT = 'cast the key to the type of its column';
    END IF;
    RETURN key::text;
END $$;

-- The owner of a key as far as this shard knows. During a change another shard may know better: `require_owner` there says so.
CREATE OR REPLACE FUNCTION ringshard.route(
    key anycompatible, OUT shard text, OUT number integer, OUT url text, OUT epoch bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    key_position CONSTANT uuid := md5(ringshard.key_text(key))::uuid;
    is_moving boolean;
BEGIN
    SELECT ring.shard, ring.number, (SELECT shard_endpoint.url FROM ringshard.shard_endpoint WHERE shard_endpoint.shard = ring.shard),
           (SELECT meta.epoch FROM ringshard.meta), ring.shard <> ring.next_shard
    INTO shard, number, url, epoch, is_moving
    FROM ringshard.ring WHERE ring.last >= key_position ORDER BY ring.last LIMIT 1;
    -- The table is enough for a key that no change moves, and costs half as much.
    IF is_moving IS NOT FALSE THEN
        SELECT known.shard, known.number, known.url, known.epoch INTO shard, number, url, epoch
        FROM ringshard.known_owner(key_position) AS known;
    END IF;
END $$;

-- The number of that shard, which no other shard of the cluster ever has.
CREATE OR REPLACE FUNCTION ringshard.shard_number(key anycompatible) RETURNS integer
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    key_position CONSTANT uuid := md5(ringshard.key_text(key))::uuid;
    number CONSTANT integer := CASE WHEN ring.shard = ring.next_shard THEN ring.number END
        FROM ringshard.ring WHERE ring.last >= key_position ORDER BY ring.last LIMIT 1;
BEGIN
    RETURN coalesce(number, (SELECT known.number FROM ringshard.known_owner(key_position) AS known));
END $$;

-- Fails unless this shard owns the key, and lets no arc leave it until the transaction ends: RS001 if another shard is the owner,
-- RS002 if the key is being moved, RS014 if the shard is in an epoch before `known_epoch`. For a statement of the same transaction
-- behind it, which has a newer snapshot.
CREATE OR REPLACE FUNCTION ringshard.require_owner(key anycompatible, known_epoch bigint DEFAULT 0) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    -- The barrier first, held to the end of the transaction; the statements after it see what it waited for.
    barrier CONSTANT boolean := pg_advisory_xact_lock_shared(7283001) IS NULL;
    text_of_key CONSTANT text := ringshard.key_text(key);
    key_position CONSTANT uuid := md5(text_of_key)::uuid;
    is_known boolean;
    is_owned boolean;
    own_epoch bigint;
BEGIN
    IF pg_is_in_recovery() THEN
        RAISE EXCEPTION 'a standby cannot prove that it has the newest rows' USING ERRCODE = 'RS013', HINT = 'connect to the primary';
    END IF;
    -- In stricter isolation levels the snapshot may be older than the barrier. So the arc is locked: if it changed since the
    -- snapshot, this fails with a serialization failure.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        PERFORM FROM ringshard.arc WHERE arc.last >= key_position ORDER BY arc.last LIMIT 1 FOR SHARE;
    END IF;
    SELECT meta.timeline = left(pg_walfile_name(pg_current_wal_insert_lsn()), 8),
           (SELECT arc.first <= key_position AND arc.state = 'owned' FROM ringshard.arc
            WHERE arc.last >= key_position ORDER BY arc.last LIMIT 1),
           meta.epoch
    INTO is_known, is_owned, own_epoch
    FROM ringshard.meta;
    IF own_epoch < known_epoch THEN
        RAISE EXCEPTION 'this shard is in epoch %, before epoch %: it may be a stale primary', own_epoch, known_epoch
            USING ERRCODE = 'RS014', HINT = 'read the ring again; ringshard doctor shows the epochs';
    END IF;
    IF is_known IS NOT TRUE THEN
        PERFORM ringshard.require_confirmed();
    END IF;
    IF is_owned IS NOT TRUE THEN
        PERFORM ringshard.raise_wrong_shard(NULL, text_of_key, 0);
    END IF;
END $$;

-- The ring in force, for a program that looks owners up by itself: each range by its last position, in order. All of one epoch.
CREATE OR REPLACE FUNCTION ringshard.ranges()
RETURNS TABLE (last uuid, shard text, number integer, url text, epoch bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT ring.last, ring.shard, ring.number, shard_endpoint.url, meta.epoch
    FROM ringshard.meta
    CROSS JOIN LATERAL (
        SELECT last, shard, number FROM ringshard.ring
        UNION ALL
        -- A large ring is not in the table. Behind its last point comes its first one.
        SELECT point, shard, number FROM ringshard.points_of(meta.topology) WHERE NOT EXISTS (SELECT FROM ringshard.ring)
        UNION ALL
        (SELECT 'ffffffff-ffff-ffff-ffff-ffffffffffff', shard, number FROM ringshard.points_of(meta.topology)
         WHERE NOT EXISTS (SELECT FROM ringshard.ring) ORDER BY point LIMIT 1)
    ) AS ring
    LEFT JOIN ringshard.shard_endpoint ON shard_endpoint.shard = ring.shard
    ORDER BY ring.last
$$;
