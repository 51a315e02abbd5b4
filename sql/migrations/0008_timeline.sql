-- Version 8 of the catalog: on which server, and on which timeline of it, the shard was last compared with the others.

ALTER TABLE ringshard.meta
    -- As in the names of the files of the write-ahead log.
    ADD COLUMN timeline text NOT NULL DEFAULT pg_catalog.left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 8),
    ADD COLUMN system_identifier bigint NOT NULL DEFAULT 0;
UPDATE ringshard.meta SET system_identifier = (SELECT system_identifier FROM pg_catalog.pg_control_system());

-- A write states the newest epoch that its client knows, and a purge or release the epoch in which it was decided.
DROP FUNCTION IF EXISTS ringshard.write_user(
    text, text, integer, text, bigint, boolean, text, boolean, text, boolean, text);
DROP FUNCTION IF EXISTS ringshard.purge(bigint, uuid, uuid, text);
DROP FUNCTION IF EXISTS ringshard.release(bigint, uuid, uuid, text);

UPDATE ringshard.meta SET catalog_version = 8;
