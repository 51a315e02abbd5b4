-- Version 10 of the catalog: changes of the schema that are applied on all shards.

CREATE TABLE ringshard.schema_change (
    -- The MD5 of the name and the text.
    id uuid PRIMARY KEY,
    name text NOT NULL,
    statements text NOT NULL,
    -- `applying`: a statement that cannot run in a transaction was begun, and may have been interrupted.
    state text NOT NULL CHECK (state IN ('applying', 'applied')),
    changed_at timestamptz NOT NULL DEFAULT pg_catalog.now()
);

COMMENT ON TABLE ringshard.schema_change IS 'The changes of the schema that were applied to this shard by ringshard.';

UPDATE ringshard.meta SET catalog_version = 10;
