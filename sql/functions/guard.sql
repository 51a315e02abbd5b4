-- The guard: what refuses the rows of other programs that do not belong on this shard. The triggers that
-- call it are in triggers.sql. Run at each initialisation, as functions.sql is.
--
-- It guards against mistakes and is no security boundary: who sets `ringshard.guard` to `checked` passes by
-- it. ringshard does so where it has proved already what the guard would prove again.

-- The owner of a place on the ring of a topology. The ring's definition is src/model/ring.rs; this one is for
-- messages alone, and a test holds it to that.
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
    -- The first point at or after the place; past the last one, the first. Equal points: the smaller name.
    ORDER BY node.point < place, node.point, node.shard COLLATE "C" LIMIT 1
$$;

-- Refuses a statement because of one of its rows: RS001, not here; RS002, on its way to another shard.
CREATE OR REPLACE FUNCTION ringshard.raise_wrong_shard(stray bigint, strays bigint) RETURNS void
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
        RAISE EXCEPTION 'user `%` is being moved from shard `%` to `%`', stray, meta.shard, arc.transfer_to
            USING ERRCODE = 'RS002', DETAIL = detail, HINT = 'try again in a moment';
    END IF;
    owner := ringshard.owner_of(meta.topology, place);
    IF owner = meta.shard AND meta.next_topology IS NOT NULL THEN
        owner := ringshard.owner_of(meta.next_topology, place);
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

-- Each row that a statement writes, and each that it changes or deletes, must lie on an arc that this shard
-- owns. `these` are the new rows, or the deleted ones; `those` are the rows as they were before an UPDATE.
-- With the rights of the catalog's owner: whoever may write `users` needs no other.
CREATE OR REPLACE FUNCTION ringshard.guard() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    -- The barrier first, held to commit; what follows are new statements, which see what it waited for.
    barrier CONSTANT boolean := pg_catalog.pg_advisory_xact_lock_shared(7283001) IS NULL;
    -- In the stricter isolation levels the snapshot is older than the barrier: there the arcs are locked, and
    -- a change of one since then ends the transaction with a serialization failure.
    is_strict CONSTANT boolean := pg_catalog.current_setting('transaction_isolation') <> 'read committed';
    -- A few rows are looked up one by one in the arcs' index; for many, a search in an array is faster.
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
        PERFORM ringshard.raise_wrong_shard(stray, strays);
    END IF;
    IF TG_OP <> 'UPDATE' THEN
        RETURN NULL;
    END IF;
    -- The same for the rows as they were.
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
        PERFORM ringshard.raise_wrong_shard(stray, strays);
    END IF;
    RETURN NULL;
END $$;

-- TRUNCATE tells no rows: all of the table must lie on arcs that this shard owns.
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
        PERFORM ringshard.raise_wrong_shard(stray, strays);
    END IF;
    RETURN NULL;
END $$;
