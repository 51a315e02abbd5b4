-- From version 3 of the catalog to version 4: replicas, and what is left of shards that were replaced, as catalog.sql has
-- them.

ALTER TABLE ringshard.meta ADD COLUMN incarnation bigint NOT NULL DEFAULT 1,
    ADD COLUMN retired jsonb NOT NULL DEFAULT '{}';
ALTER TABLE ringshard.address ADD COLUMN replicas text[] NOT NULL DEFAULT '{}',
    ADD COLUMN incarnation bigint NOT NULL DEFAULT 1;

UPDATE ringshard.meta SET catalog_version = 4;
