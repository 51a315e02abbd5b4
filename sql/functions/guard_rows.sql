-- A guard of the tables with one sharding key against rows that do not belong on this shard: each row that a statement wrote,
-- changed or deleted must be on an arc that this shard owns. Runs with the rights of the catalog's owner, so a client needs rights
-- on the table only. src/pg/catalog/functions.rs makes one for each operation and key from this text, as PL/pgSQL would have to
-- plan a dynamic statement each time.
-- 7283001 is BARRIER of src/pg/net/advisory_lock.rs.
CREATE OR REPLACE FUNCTION ringshard.GUARD() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    -- The barrier first, held to commit; the statements after it see what it waited for.
    barrier CONSTANT boolean := pg_catalog.pg_advisory_xact_lock_shared(7283001) IS NULL;
    -- In stricter isolation levels the snapshot may be older than the barrier. So the arcs are locked: if one changed since
    -- the snapshot, the transaction fails with a serialization failure.
    is_strict CONSTANT boolean := pg_catalog.current_setting('transaction_isolation') <> 'read committed';
    -- A few rows are looked up one by one in the index of the arcs; for many, a search in an array is faster.
    is_many CONSTANT boolean := EXISTS (SELECT FROM CHANGED_ROWS AS own_row OFFSET 50);
    key text;
    refused bigint;
BEGIN
    SELECT (pg_catalog.array_agg(changed.key ORDER BY changed.value))[1], pg_catalog.count(DISTINCT changed.key) INTO key, refused
    FROM (SELECT own_row.KEY AS value, own_row.KEY::text AS key, pg_catalog.md5(own_row.KEY::text)::uuid AS position
          FROM CHANGED_ROWS AS own_row OFFSET 0) AS changed
    WHERE CASE
        WHEN is_strict THEN (SELECT arc.first <= position AND arc.state = 'owned' FROM ringshard.arc
                             WHERE arc.last >= position ORDER BY arc.last LIMIT 1 FOR SHARE)
        WHEN is_many THEN position <= (SELECT pg_catalog.array_agg(arc.last ORDER BY arc.last) FROM ringshard.arc
                                       WHERE arc.state = 'owned')[pg_catalog.width_bucket(position,
                                      (SELECT pg_catalog.array_agg(arc.first ORDER BY arc.last) FROM ringshard.arc
                                       WHERE arc.state = 'owned'))]
        ELSE (SELECT arc.first <= position AND arc.state = 'owned' FROM ringshard.arc
              WHERE arc.last >= position ORDER BY arc.last LIMIT 1)
    END IS NOT TRUE;
    IF refused > 0 THEN
        PERFORM ringshard.raise_wrong_shard(TG_RELID, key, refused);
    END IF;
    RETURN NULL;
END $$;
