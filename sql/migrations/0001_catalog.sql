-- Version 1 of the catalog: what a shard knows of its cluster, and which positions it owns. Run once, in the transaction
-- that also makes `users` and writes the shard's own rows. Later migrations add to it and rename parts of it:
-- docs/internals/catalog.md describes the result.

CREATE SCHEMA ringshard;
COMMENT ON SCHEMA ringshard IS 'ringshard: who owns which part of the ring. Changed by ringshard alone.';

-- Positions are uuids: 128 bits, compared as unsigned big-endian integers.
CREATE TYPE ringshard.position_range AS RANGE (subtype = uuid);

CREATE TABLE ringshard.meta (
    only_row        boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    catalog_version integer NOT NULL,
    cluster         uuid    NOT NULL,
    shard           text    NOT NULL,
    epoch           bigint  NOT NULL CHECK (epoch >= 1),
    -- `pending` while a change of the topology is under way, which is then described by `target`.
    status          text    NOT NULL DEFAULT 'done' CHECK (status IN ('done', 'pending')),
    topology        jsonb   NOT NULL,
    target          jsonb,
    CHECK ((status = 'pending') = (target IS NOT NULL))
);
COMMENT ON TABLE ringshard.meta IS 'This shard''s cluster, name, epoch and topology; one row.';

CREATE TABLE ringshard.arc (
    last  uuid   PRIMARY KEY,
    first uuid   NOT NULL,
    state text   NOT NULL DEFAULT 'owned' CHECK (state IN ('owned', 'fenced')),
    -- The epoch in which this shard took, or let go of, the arc.
    epoch bigint NOT NULL,
    -- Whom a fenced arc is on its way to.
    peer  text,
    CHECK (first <= last),
    CHECK ((state = 'fenced') = (peer IS NOT NULL)),
    EXCLUDE USING gist (ringshard.position_range(first, last, '[]') WITH &&)
);
COMMENT ON TABLE ringshard.arc IS 'The positions that this shard answers for: inclusive ranges that never wrap.';

CREATE TABLE ringshard.address (
    shard text PRIMARY KEY,
    url   text NOT NULL
);
COMMENT ON TABLE ringshard.address IS 'How to reach each shard of the cluster, without any password.';
