-- The catalog of one shard: what the shard knows of its cluster, and which positions it owns.
-- Run once, in the transaction that also makes `users` and writes the shard's own rows.

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
    -- All shards that take part in the change, sorted.
    members         jsonb,
    -- The topology that is wished for, on the first shard of the topology in force alone.
    wanted          jsonb,
    -- Grows by one when a replica takes this shard over: what is left of an older one must not serve.
    incarnation     bigint  NOT NULL DEFAULT 1,
    -- Addresses at which old data of shards may come back, and whose: {URL: SHARD}.
    retired         jsonb   NOT NULL DEFAULT '{}',
    -- Of the topology whose ring gives this shard just the arcs that it has, the MD5; NULL while that is not so for sure.
    ring            uuid,
    CHECK ((status = 'pending') = (target IS NOT NULL)),
    CONSTRAINT meta_members_check CHECK ((members IS NULL) = (target IS NULL)),
    CONSTRAINT meta_ring_check CHECK (ring IS NULL OR status = 'done')
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

CREATE TABLE ringshard.at_rest ();
COMMENT ON TABLE ringshard.at_rest IS 'Always empty. Who writes because the ring is at rest holds a lock on it, and who takes an arc from this shard waits for that.';

CREATE TABLE ringshard.address (
    shard       text   PRIMARY KEY,
    url         text   NOT NULL,
    -- Standbys that can serve reads, and take the shard over.
    replicas    text[] NOT NULL DEFAULT '{}',
    incarnation bigint NOT NULL DEFAULT 1
);
COMMENT ON TABLE ringshard.address IS 'How to reach each shard of the cluster, without any password.';

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
