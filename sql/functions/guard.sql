-- The guard refuses rows that other programs write and that do not belong on this shard. The triggers that call it are made
-- by src/pg/catalog/triggers.rs. init-shards replaces these functions each time, as those of write_user.sql.
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

-- Raises the error for a statement with rows of a table that do not belong here, naming the key of one of them: RS001 if the
-- shard is not the owner, RS002 if the row is being moved to another shard.
CREATE OR REPLACE FUNCTION ringshard.raise_wrong_shard(relation regclass, key text, refused bigint) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    position CONSTANT uuid := pg_catalog.md5(key)::uuid;
    is_user CONSTANT boolean := relation = pg_catalog.to_regclass('public.users');
    row_name CONSTANT text := CASE WHEN is_user THEN pg_catalog.format('user `%s`', key)
                              ELSE pg_catalog.format('key `%s` of table %s', key, relation) END;
    meta ringshard.meta;
    arc ringshard.arc;
    owner text;
    detail text;
BEGIN
    SELECT * INTO meta FROM ringshard.meta;
    SELECT * INTO arc FROM ringshard.arc AS own_arc WHERE own_arc.last >= position ORDER BY own_arc.last LIMIT 1;
    detail := pg_catalog.format('position %s, epoch %s; number of refused rows: %s', position, meta.epoch, refused);
    IF arc.first <= position AND arc.state = 'fenced' THEN
        RAISE EXCEPTION '% is being moved from shard `%` to `%`', row_name, meta.shard, arc.transfer_to
            USING ERRCODE = 'RS002', DETAIL = detail, HINT = 'try again in a moment';
    END IF;
    owner := ringshard.owner_of(meta.topology, position);
    IF owner = meta.shard AND meta.next_topology IS NOT NULL THEN
        owner := ringshard.owner_of(meta.next_topology, position);
    END IF;
    -- A change is being undone, and it has not come back yet.
    IF owner = meta.shard AND meta.next_topology = meta.topology THEN
        RAISE EXCEPTION '% is being moved back to shard `%`', row_name, meta.shard
            USING ERRCODE = 'RS002', DETAIL = detail, HINT = 'try again in a moment';
    END IF;
    IF owner = meta.shard THEN
        RAISE EXCEPTION '% belongs on shard `%`, but the catalog of that shard lacks its arc', row_name, meta.shard
            USING ERRCODE = 'RS001', DETAIL = detail, HINT = 'run ringshard doctor';
    END IF;
    RAISE EXCEPTION '% does not belong on shard `%`: its owner is `%`', row_name, meta.shard, owner
        USING ERRCODE = 'RS001', DETAIL = detail,
              HINT = pg_catalog.format('connect to `%s`', owner) || CASE WHEN is_user THEN
                         pg_catalog.format(', or let ringshard route it: ringshard get-user %s, create-user, '
                                           'update-user or delete-user', key) ELSE '' END;
END $$;

-- TRUNCATE has no transition table, so all rows of the table must be on arcs that this shard owns. The argument of the trigger
-- is the sharding key; without one it is `user_id`. A partition that was detached keeps the trigger, and is not guarded.
CREATE OR REPLACE FUNCTION ringshard.guard_truncate() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    barrier CONSTANT boolean := pg_catalog.pg_advisory_xact_lock_shared(7283001) IS NULL;
    key text;
    refused bigint;
BEGIN
    PERFORM FROM ringshard.sharded_tables() AS sharded
    WHERE sharded.relation = TG_RELID OR sharded.relation IN (SELECT relid FROM pg_catalog.pg_partition_ancestors(TG_RELID));
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    IF pg_catalog.current_setting('transaction_isolation') <> 'read committed' THEN
        PERFORM 1 FROM ringshard.arc FOR SHARE;
    END IF;
    EXECUTE pg_catalog.format(
        'SELECT pg_catalog.min(key), pg_catalog.count(*) FROM ringshard.misplaced_keys(%L, %L)',
        TG_RELID::regclass, coalesce(TG_ARGV[0], 'user_id'))
    INTO key, refused;
    IF refused > 0 THEN
        PERFORM ringshard.raise_wrong_shard(TG_RELID, key, refused);
    END IF;
    RETURN NULL;
END $$;

-- The key of each row of a table that is on no arc that this shard owns.
CREATE OR REPLACE FUNCTION ringshard.misplaced_keys(relation regclass, key_column text, OUT key text) RETURNS SETOF text
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN QUERY EXECUTE pg_catalog.format(
        'SELECT key FROM (SELECT %1$I::text AS key, pg_catalog.md5(%1$I::text)::uuid AS position FROM %2$s OFFSET 0) AS stored '
        'WHERE (position <= ($1)[pg_catalog.width_bucket(position, $2)]) IS NOT TRUE', key_column, relation)
    USING (SELECT pg_catalog.array_agg(arc.last ORDER BY arc.last) FROM ringshard.arc WHERE arc.state = 'owned'),
          (SELECT pg_catalog.array_agg(arc.first ORDER BY arc.last) FROM ringshard.arc WHERE arc.state = 'owned');
END $$;
