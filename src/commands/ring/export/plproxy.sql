-- The cluster `ringshard` of PL/Proxy, for a proxy database: the ring of epoch @EPOCH@ of the cluster @CLUSTER@.
--
-- Written by `ringshard ring export --format plproxy`; load it again after each change of the ring. docs/plproxy.md says how a function
-- is written so that a ring that is old costs an error and never a wrong answer.
BEGIN;
SET LOCAL client_min_messages = warning;
SET LOCAL standard_conforming_strings = on;

DO $$
BEGIN
    IF pg_catalog.to_regclass('ringshard.meta') IS NOT NULL THEN
        RAISE EXCEPTION 'this database is a shard' USING HINT = 'load this into a database of its own, the proxy database';
    END IF;
END $$;

CREATE SCHEMA IF NOT EXISTS plproxy;
CREATE SCHEMA IF NOT EXISTS ringshard;
-- The owner of a position is that of the first `last` at or after it.
CREATE TABLE IF NOT EXISTS ringshard.ring (last uuid PRIMARY KEY, number integer NOT NULL);
-- The partition of a shard has its number. A number that no shard has gets the connection of another shard, and is in no ring.
CREATE TABLE IF NOT EXISTS ringshard.partition (number integer PRIMARY KEY, connection text NOT NULL);
GRANT USAGE ON SCHEMA plproxy, ringshard TO PUBLIC;
GRANT SELECT ON ringshard.ring, ringshard.partition TO PUBLIC;

LOCK TABLE ringshard.ring, ringshard.partition IN SHARE ROW EXCLUSIVE MODE;
DELETE FROM ringshard.ring;
DELETE FROM ringshard.partition;
INSERT INTO ringshard.ring (last, number) VALUES
@RING@;
INSERT INTO ringshard.partition (number, connection) VALUES
@PARTITIONS@;

-- The number of the shard that owns a key. A key of another type is cast to that of its column.
CREATE OR REPLACE FUNCTION ringshard.shard_number(key text) RETURNS integer LANGUAGE sql STABLE STRICT AS $$
    SELECT number FROM ringshard.ring WHERE last >= md5(convert_to(key, 'UTF8'))::uuid ORDER BY last LIMIT 1
$$;
CREATE OR REPLACE FUNCTION ringshard.shard_number(key bigint) RETURNS integer LANGUAGE sql STABLE STRICT AS $$
    SELECT ringshard.shard_number(key::text)
$$;
CREATE OR REPLACE FUNCTION ringshard.shard_number(key uuid) RETURNS integer LANGUAGE sql STABLE STRICT AS $$
    SELECT ringshard.shard_number(key::text)
$$;

CREATE OR REPLACE FUNCTION plproxy.get_cluster_version(cluster_name text) RETURNS integer LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF cluster_name IS DISTINCT FROM 'ringshard' THEN
        RAISE EXCEPTION 'there is no cluster `%` in this proxy database', cluster_name USING HINT = 'its cluster is `ringshard`';
    END IF;
    RETURN @EPOCH@;
END $$;
CREATE OR REPLACE FUNCTION plproxy.get_cluster_partitions(cluster_name text) RETURNS SETOF text LANGUAGE sql STABLE AS $$
    SELECT connection FROM ringshard.partition ORDER BY number
$$;
CREATE OR REPLACE FUNCTION plproxy.get_cluster_config(IN cluster_name text, OUT key text, OUT val text) RETURNS SETOF record
LANGUAGE sql STABLE AS $$
    SELECT NULL::text, NULL::text WHERE false
$$;
COMMIT;
