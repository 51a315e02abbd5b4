-- From version 4 of the catalog to version 5: the lock of those who write while the ring is at rest, as catalog.sql has it.

CREATE TABLE ringshard.at_rest ();
COMMENT ON TABLE ringshard.at_rest IS 'Always empty. Who writes because the ring is at rest holds a lock on it, and who takes an arc from this shard waits for that.';

UPDATE ringshard.meta SET catalog_version = 5;
