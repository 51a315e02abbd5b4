-- Version 3 of the catalog: changes of the ring.

ALTER TABLE ringshard.meta ADD COLUMN members jsonb, ADD COLUMN wanted jsonb,
    ADD CONSTRAINT meta_members_check CHECK ((members IS NULL) = (target IS NULL));

CREATE TABLE ringshard.quarantine (
    number  bigint      PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    at      timestamptz NOT NULL DEFAULT pg_catalog.now(),
    reason  text        NOT NULL,
    user_id bigint      NOT NULL,
    name    text,
    region  text,
    email   text
);
COMMENT ON TABLE ringshard.quarantine IS 'Rows that were in the way of others and were set aside, never thrown away.';

CREATE TABLE ringshard.moved (
    epoch  bigint NOT NULL,
    source text   NOT NULL,
    rows   bigint NOT NULL,
    bytes  bigint NOT NULL,
    PRIMARY KEY (epoch, source)
);
COMMENT ON TABLE ringshard.moved IS 'How much this shard has taken over in a change of the ring, and from whom.';

CREATE TABLE ringshard.run (
    only_row boolean     PRIMARY KEY DEFAULT true CHECK (only_row),
    runner   text        NOT NULL,
    begun    timestamptz NOT NULL DEFAULT pg_catalog.now(),
    phase    text        NOT NULL,
    since    timestamptz NOT NULL DEFAULT pg_catalog.now(),
    -- What the whole change moves, by the plan.
    rows     bigint      NOT NULL,
    bytes    bigint      NOT NULL
);
COMMENT ON TABLE ringshard.run IS 'Who carries out a change of the ring, or was the last to do so; on the first shard.';

UPDATE ringshard.meta SET catalog_version = 3;
