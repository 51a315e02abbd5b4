-- The guard refuses rows that other programs write and that do not belong on this shard. The triggers that call it are in
-- sql/queries/triggers.sql. init-shards replaces these functions each time, as those of write_user.sql.
--
-- It protects against mistakes and is not a security boundary: a session that sets `ringshard.guard` to `checked` bypasses
-- it. ringshard does so after it has proved what the guard would check.
-- 7283001 is BARRIER of src/pg/net/advisory_lock.rs.

-- The owner of a position on the ring of a topology. src/model/ring/mod.rs defines the ring; this function serves messages
-- only, and a test compares both.
CREATE OR REPLACE FUNCTION ringshard.owner_of(topology jsonb, key_position uuid) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT node.shard
    FROM (
        SELECT spec ->> 'name' AS shard,
               pg_catalog.md5((spec ->> 'name') || '#' || index)::uuid AS point
        FROM pg_catalog.jsonb_array_elements(topology -> 'shards') AS spec
        CROSS JOIN LATERAL pg_catalog.generate_series(0, greatest(1, pg_catalog.floor(
            (spec ->> 'weight')::float8 * (topology ->> 'virtual_nodes')::float8 + 0.5)::integer) - 1) AS index
    ) AS node
    -- The first point at or after the position; after the last point, the first one. For equal points, the smaller name.
    ORDER BY node.point < key_position, node.point, node.shard COLLATE "C" LIMIT 1
$$;

-- Raises the error for a statement with rows that do not belong here, naming one of them: RS001 if the shard is not the
-- owner, RS002 if the row is being moved to another shard.
CREATE OR REPLACE FUNCTION ringshard.raise_wrong_shard(id bigint, refused bigint) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    position CONSTANT uuid := pg_catalog.md5(id::text)::uuid;
    meta ringshard.meta;
    arc ringshard.arc;
    owner text;
    detail text;
BEGIN
    SELECT * INTO meta FROM ringshard.meta;
    SELECT * INTO arc FROM ringshard.arc AS own_arc WHERE own_arc.last >= position ORDER BY own_arc.last LIMIT 1;
    detail := pg_catalog.format('position %s, epoch %s; number of refused rows: %s', position, meta.epoch, refused);
    IF arc.first <= position AND arc.state = 'fenced' THEN
        RAISE EXCEPTION 'user `%` is being moved from shard `%` to `%`', id, meta.shard, arc.transfer_to
            USING ERRCODE = 'RS002', DETAIL = detail, HINT = 'try again in a moment';
    END IF;
    owner := ringshard.owner_of(meta.topology, position);
    IF owner = meta.shard AND meta.next_topology IS NOT NULL THEN
        owner := ringshard.owner_of(meta.next_topology, position);
    END IF;
    IF owner = meta.shard THEN
        RAISE EXCEPTION 'user `%` belongs on shard `%`, but the catalog of that shard lacks its arc', id, meta.shard
            USING ERRCODE = 'RS001', DETAIL = detail, HINT = 'run ringshard doctor';
    END IF;
    RAISE EXCEPTION 'user `%` does not belong on shard `%`: its owner is `%`', id, meta.shard, owner
        USING ERRCODE = 'RS001', DETAIL = detail,
              HINT = pg_catalog.format('connect to `%s`, or let ringshard route it: ringshard get-user %s, create-user, '
                                       'update-user or delete-user', owner, id);
END $$;

-- TRUNCATE has no transition table, so all rows of the table must be on arcs that this shard owns.
CREATE OR REPLACE FUNCTION ringshard.guard_truncate() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    barrier CONSTANT boolean := pg_catalog.pg_advisory_xact_lock_shared(7283001) IS NULL;
    id bigint;
    refused bigint;
BEGIN
    IF pg_catalog.current_setting('transaction_isolation') <> 'read committed' THEN
        PERFORM 1 FROM ringshard.arc FOR SHARE;
    END IF;
    SELECT pg_catalog.min(written.user_id), pg_catalog.count(*) INTO id, refused
    FROM (SELECT user_id, pg_catalog.md5(user_id::text)::uuid AS position FROM public.users OFFSET 0) AS written
    WHERE (position <= (SELECT pg_catalog.array_agg(arc.last ORDER BY arc.last) FROM ringshard.arc
                        WHERE arc.state = 'owned')[pg_catalog.width_bucket(position,
                       (SELECT pg_catalog.array_agg(arc.first ORDER BY arc.last) FROM ringshard.arc
                        WHERE arc.state = 'owned'))]) IS NOT TRUE;
    IF refused > 0 THEN
        PERFORM ringshard.raise_wrong_shard(id, refused);
    END IF;
    RETURN NULL;
END $$;
