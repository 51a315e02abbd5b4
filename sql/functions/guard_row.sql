-- The guard of the partitioned tables with one sharding key, as guard_rows.sql for the others. It sees row by row, as Postgres
-- clones row triggers alone to partitions, also to those that come later. An UPDATE that moves a row to another partition is a
-- DELETE and an INSERT here.
-- 7283001 is BARRIER of src/pg/net/advisory_lock.rs.
CREATE OR REPLACE FUNCTION ringshard.GUARD() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    -- The barrier first, held to commit; the statements after it see what it waited for.
    barrier CONSTANT boolean := pg_catalog.pg_advisory_xact_lock_shared(7283001) IS NULL;
    is_strict CONSTANT boolean := pg_catalog.current_setting('transaction_isolation') <> 'read committed';
    -- Without a new row there is an old one.
    key text := coalesce(NEW.KEY, OLD.KEY)::text;
    position uuid;
BEGIN
    LOOP
        position := pg_catalog.md5(key)::uuid;
        IF is_strict THEN
            PERFORM FROM ringshard.arc WHERE arc.last >= position ORDER BY arc.last LIMIT 1 FOR SHARE;
        END IF;
        IF (SELECT arc.first <= position AND arc.state = 'owned' FROM ringshard.arc
            WHERE arc.last >= position ORDER BY arc.last LIMIT 1) IS NOT TRUE THEN
            PERFORM ringshard.raise_wrong_shard(ringshard.table_of(TG_RELID), key, 1);
        END IF;
        EXIT WHEN TG_OP <> 'UPDATE' OR key = OLD.KEY::text;
        key := OLD.KEY::text;
    END LOOP;
    RETURN NULL;
END $$;
