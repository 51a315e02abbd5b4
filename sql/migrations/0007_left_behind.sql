-- Version 7 of the catalog: rows that a purge had to leave behind, and new signatures.

CREATE TABLE ringshard.left_behind (
    first uuid NOT NULL,
    last uuid PRIMARY KEY,
    reason text NOT NULL,
    since timestamptz NOT NULL DEFAULT pg_catalog.now(),
    CHECK (first <= last)
);
COMMENT ON TABLE ringshard.left_behind IS 'Chunks that this shard gave away, but whose rows it could not delete without an effect on other tables.';

-- A client states the version that it needs.
DROP FUNCTION IF EXISTS ringshard.write_user(
    text, text, text, bigint, boolean, text, boolean, text, boolean, text);
-- Three functions take its place.
DROP FUNCTION IF EXISTS ringshard.guard() CASCADE;

UPDATE ringshard.meta SET catalog_version = 7;
