-- The guard refuses rows that other programs write and that do not belong on this shard. The triggers that call it are made
-- by src/pg/catalog/triggers.rs. init-shards replaces these functions each time, as those of write_user.sql.
--
-- It protects against mistakes and is not a security boundary: a session that sets `ringshard.guard` to `checked` bypasses
-- it. ringshard does so after it has proved what the guard would check.
-- 7283001 is BARRIER of src/pg/net/advisory_lock.rs.

-- Raises the error for rows of a table that do not belong here, naming the key of one of them, or for a key without a table: RS001
-- if the shard is not the owner, RS002 if the key is being moved. Its DETAIL is JSON, which docs/routing.md describes.
CREATE OR REPLACE FUNCTION ringshard.raise_wrong_shard(relation regclass, key text, refused bigint) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    position CONSTANT uuid := pg_catalog.md5(key)::uuid;
    is_user CONSTANT boolean := coalesce(relation = pg_catalog.to_regclass('public.users'), false);
    what CONSTANT text := CASE WHEN is_user THEN pg_catalog.format('user `%s`', key)
                          ELSE pg_catalog.format('key `%s`', key) || coalesce(' of table ' || relation::text, '') END;
    here CONSTANT text := shard FROM ringshard.meta;
    known CONSTANT record := ringshard.known_owner(position);
    detail CONSTANT text := pg_catalog.json_strip_nulls(pg_catalog.json_build_object(
        'owner', known.shard, 'number', known.number, 'url', known.url, 'key', key, 'position', position, 'epoch', known.epoch,
        'refused_rows', nullif(refused, 0)));
BEGIN
    IF known.state = 'fenced' THEN
        RAISE EXCEPTION '% is being moved from shard `%` to `%`', what, here, known.shard
            USING ERRCODE = 'RS002', DETAIL = detail, HINT = 'try again in a moment';
    ELSIF known.state = 'owned' THEN
        -- It arrived after the caller had looked.
        RAISE EXCEPTION '% has just been moved to shard `%`', what, here
            USING ERRCODE = 'RS002', DETAIL = detail, HINT = 'try again in a moment';
    ELSIF known.state = 'returning' THEN
        RAISE EXCEPTION '% is being moved back to shard `%`', what, here
            USING ERRCODE = 'RS002', DETAIL = detail, HINT = 'try again in a moment';
    ELSIF known.state = 'lacking' THEN
        RAISE EXCEPTION '% belongs on shard `%`, but the catalog of that shard lacks its arc', what, here
            USING ERRCODE = 'RS001', DETAIL = detail, HINT = 'run ringshard doctor';
    END IF;
    RAISE EXCEPTION '% does not belong on shard `%`: its owner is `%`', what, here, known.shard
        USING ERRCODE = 'RS001', DETAIL = detail,
              HINT = pg_catalog.format('connect to `%s`', known.shard) || CASE WHEN is_user THEN
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
