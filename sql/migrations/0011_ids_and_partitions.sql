-- Version 11 of the catalog: unique ids (sql/functions/ids.sql), which contain the number of the shard; and partitioned tables.

-- The partitions that the sharded tables had when the arc was fenced.
ALTER TABLE ringshard.arc ADD COLUMN partitions oid[];

-- It has got one more column.
DROP FUNCTION IF EXISTS ringshard.read_chunk(bigint, uuid, uuid, text, bigint);

-- The last id of this shard. Each is the milliseconds since 2026 (41 bits), a counter (12 bits), and the number of the shard (10
-- bits), which a step leaves as it is. Without a number it is 0.
CREATE SEQUENCE ringshard.id_sequence INCREMENT 1024 MINVALUE 0 START 0;

-- The shard keeps its number, also when it leaves the cluster: no other one gets it. `highest_number` is that of any shard in a
-- topology that was in force or announced here.
ALTER TABLE ringshard.meta
    ADD COLUMN shard_number integer CHECK (shard_number BETWEEN 1 AND 1023),
    ADD COLUMN highest_number integer NOT NULL DEFAULT 0;

-- Without `numbers`, each shard of a topology has the number of its place.
CREATE FUNCTION ringshard.note_numbers() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    -- The stale primary of a shard gets another name, and makes no ids any more.
    before CONSTANT integer := CASE WHEN NEW.shard = OLD.shard THEN OLD.shard_number END;
BEGIN
    SELECT coalesce(max(number) FILTER (WHERE name = NEW.shard), before), greatest(NEW.highest_number, max(number))
    INTO NEW.shard_number, NEW.highest_number
    FROM (SELECT spec ->> 'name' AS name, coalesce((topology -> 'numbers' ->> (place - 1)::integer)::integer, place) AS number
          FROM unnest(ARRAY[NEW.topology, NEW.next_topology]) AS topology
          CROSS JOIN LATERAL jsonb_array_elements(topology -> 'shards') WITH ORDINALITY AS shards (spec, place)) AS numbered;
    IF NEW.shard_number IS DISTINCT FROM OLD.shard_number THEN
        -- Unlike setval this is undone by a rollback, and waits for transactions that have made ids. It begins at the clock, so
        -- that ids are greater than those that a table has had before.
        EXECUTE format('ALTER SEQUENCE ringshard.id_sequence RESTART WITH %s',
            (greatest((date_part('epoch', clock_timestamp()) - 1767225600) * 1000, 0)::bigint << 22)
            + coalesce(NEW.shard_number, 0));
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER note_numbers BEFORE INSERT OR UPDATE ON ringshard.meta
    FOR EACH ROW EXECUTE FUNCTION ringshard.note_numbers();
-- A mover's session is in the role of a replica.
ALTER TABLE ringshard.meta ENABLE ALWAYS TRIGGER note_numbers;

UPDATE ringshard.meta SET catalog_version = 11;
