-- From version 4 of the catalog to version 5: what those need who read and write while the ring is at rest, as catalog.sql
-- has it.

ALTER TABLE ringshard.meta ADD COLUMN ring uuid,
    ADD CONSTRAINT meta_ring_check CHECK (ring IS NULL OR status = 'done');

CREATE TABLE ringshard.at_rest ();
COMMENT ON TABLE ringshard.at_rest IS 'Always empty. Who writes because the ring is at rest holds a lock on it, and who takes an arc from this shard waits for that.';

-- It has one argument more.
DROP FUNCTION IF EXISTS ringshard.restate(
    bigint, uuid[], uuid[], bigint[], text[], bigint, jsonb, jsonb, jsonb, uuid[], uuid[], bigint[], text[], text, text);

UPDATE ringshard.meta SET catalog_version = 5;
