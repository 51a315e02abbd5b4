-- Version 4 of the catalog: replicas, and what is left of primaries that were replaced.

ALTER TABLE ringshard.meta ADD COLUMN incarnation bigint NOT NULL DEFAULT 1,
    ADD COLUMN retired jsonb NOT NULL DEFAULT '{}';
ALTER TABLE ringshard.address ADD COLUMN replicas text[] NOT NULL DEFAULT '{}',
    ADD COLUMN incarnation bigint NOT NULL DEFAULT 1;

UPDATE ringshard.meta SET catalog_version = 4;
