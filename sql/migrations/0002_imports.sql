-- Version 2 of the catalog: imports.

CREATE TABLE ringshard.import (
    -- The MD5 of the file's first record.
    source  uuid        PRIMARY KEY,
    begun   timestamptz NOT NULL DEFAULT pg_catalog.now(),
    -- All records of the file up to this one that were routed here are in.
    records bigint      NOT NULL,
    -- Records behind this one were never sent here.
    high    bigint      NOT NULL,
    -- Of the file's records 1 to `records`.
    digest  bigint      NOT NULL,
    -- Of the arcs that the records were routed by; empty: by several.
    routing text        NOT NULL
);
COMMENT ON TABLE ringshard.import IS 'Imports under way or interrupted: how far this shard has each file.';

UPDATE ringshard.meta SET catalog_version = 2;
