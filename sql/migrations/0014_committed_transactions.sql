-- Version 14 of the catalog: which transactions on several shards are committed.

-- The commit records of two-phase commit, on the first shard of such a transaction: a row commits it, in the transaction that
-- writes it. A transaction that is prepared and has no row here is to be rolled back ("presumed abort"). The row is deleted once
-- none of its shards has the transaction prepared any more.
CREATE TABLE ringshard.committed_transaction (
    id           uuid        PRIMARY KEY,
    shards       text[]      NOT NULL,
    committed_at timestamptz NOT NULL DEFAULT pg_catalog.now()
);
COMMENT ON TABLE ringshard.committed_transaction IS 'Transactions on several shards that are committed, and that some shard may still have prepared.';

UPDATE ringshard.meta SET catalog_version = 14;
