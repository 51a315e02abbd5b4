-- Version 13 of the catalog: the ring as a table, for the functions that tell other programs the route (sql/functions/route.sql).

-- The owner of a position is that of the first `last` at or after it; the last row ends at the last position. Empty for a ring of
-- more than 5,000 points, which each shard would need seconds to write; then it is computed each time it is asked for.
CREATE TABLE ringshard.ring (
    last        uuid    PRIMARY KEY,
    shard       text    NOT NULL,
    number      integer NOT NULL,
    -- By the ring that a change leads to, or led to before it was canceled; without a change the same.
    next_shard  text    NOT NULL,
    next_number integer NOT NULL
);
COMMENT ON TABLE ringshard.ring IS 'Who owns which positions by the topology, and by the one that a change leads to. Other shards know better which of their arcs have moved.';

-- It was computed for each message before.
DROP FUNCTION IF EXISTS ringshard.owner_of(jsonb, uuid);

-- The shards of a topology, each with its number and how many points it has.
CREATE FUNCTION ringshard.shards_of(topology jsonb) RETURNS TABLE (shard text, number integer, points integer)
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT value ->> 'name', coalesce((topology -> 'numbers' ->> (place - 1)::integer)::integer, place::integer),
           greatest(1, floor((value ->> 'weight')::float8 * (topology ->> 'virtual_nodes')::float8 + 0.5)::integer)
    FROM jsonb_array_elements(topology -> 'shards') WITH ORDINALITY AS shards (value, place)
$$;

-- The points of a topology; of equal ones that of the smaller name. src/model/ring/mod.rs defines the ring, and a test compares both.
CREATE FUNCTION ringshard.points_of(topology jsonb) RETURNS TABLE (point uuid, shard text, number integer)
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT DISTINCT ON (point) md5(of.shard || '#' || index)::uuid AS point, of.shard, of.number
    FROM ringshard.shards_of(topology) AS of
    CROSS JOIN LATERAL generate_series(0, of.points - 1) AS index
    ORDER BY point, of.shard COLLATE "C"
$$;

-- Keeps the table as the topology is, and tells who listens of each new epoch.
CREATE FUNCTION ringshard.keep_ring() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    -- While a canceled change goes back, keys are still where it led to.
    other CONSTANT jsonb := CASE WHEN NEW.next_topology IS NULL THEN NEW.topology
        WHEN TG_OP = 'UPDATE' AND NEW.next_topology = NEW.topology THEN coalesce(OLD.next_topology, NEW.topology)
        ELSE NEW.next_topology END;
    is_small boolean := false;
BEGIN
    IF TG_OP = 'INSERT' OR OLD.topology <> NEW.topology OR OLD.next_topology IS DISTINCT FROM NEW.next_topology
       OR NOT EXISTS (SELECT FROM ringshard.ring) THEN
        DELETE FROM ringshard.ring;
        is_small := (SELECT sum(points) FROM ringshard.shards_of(NEW.topology)) <= 5000
                    AND (SELECT sum(points) FROM ringshard.shards_of(other)) <= 5000;
    END IF;
    IF is_small THEN
        INSERT INTO ringshard.ring (last, shard, number, next_shard, next_number)
        WITH points AS (
            SELECT point, current.shard, current.number, next.shard AS next_shard, next.number AS next_number
            FROM ringshard.points_of(NEW.topology) AS current
            FULL JOIN ringshard.points_of(other) AS next USING (point)
            UNION ALL
            -- Behind the last point of either ring comes its first one.
            SELECT * FROM (VALUES ('ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid, NULL, NULL::integer, NULL, NULL::integer)) AS top
        ), grouped AS (
            -- The points from one of a ring down to the next lower one of that ring have the same count.
            SELECT *, count(shard) OVER (ORDER BY point DESC) AS of_point, count(next_shard) OVER (ORDER BY point DESC) AS of_next_point
            FROM points
        ), owned AS (
            SELECT point,
                   coalesce(max(shard) OVER of_point, first_value(shard) OVER of_all) AS shard,
                   coalesce(max(number) OVER of_point, first_value(number) OVER of_all) AS number,
                   coalesce(max(next_shard) OVER of_next_point, first_value(next_shard) OVER of_next) AS next_shard,
                   coalesce(max(next_number) OVER of_next_point, first_value(next_number) OVER of_next) AS next_number
            FROM grouped
            WINDOW of_point AS (PARTITION BY of_point), of_next_point AS (PARTITION BY of_next_point),
                   of_all AS (ORDER BY shard IS NULL, point), of_next AS (ORDER BY next_shard IS NULL, point)
        )
        -- Neighbours with the same owners are one range.
        SELECT point, shard, number, next_shard, next_number
        FROM (SELECT *, (shard, next_shard) IS DISTINCT FROM (lead(shard) OVER by_point, lead(next_shard) OVER by_point) AS is_end
              FROM owned WINDOW by_point AS (ORDER BY point)) AS neighbours
        WHERE is_end;
    END IF;
    -- A queue that is full because somebody does not read it would fail the commit.
    IF (TG_OP = 'INSERT' OR (OLD.epoch, OLD.status, OLD.incarnation, OLD.stale_endpoints)
                             IS DISTINCT FROM (NEW.epoch, NEW.status, NEW.incarnation, NEW.stale_endpoints))
       AND pg_notification_queue_usage() < 0.5 THEN
        PERFORM pg_notify('ringshard', json_build_object('epoch', NEW.epoch, 'status', NEW.status)::text);
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER keep_ring AFTER INSERT OR UPDATE ON ringshard.meta FOR EACH ROW EXECUTE FUNCTION ringshard.keep_ring();
-- A mover's session is in the role of a replica.
ALTER TABLE ringshard.meta ENABLE ALWAYS TRIGGER keep_ring;

UPDATE ringshard.meta SET catalog_version = 13;
