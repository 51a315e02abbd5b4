-- Creates the triggers on a sharded table that call the guard (guard_rows.sql, guard.sql), if one is missing or different: this
-- waits for the writers of the table, but not for its readers. src/pg/catalog/triggers.rs puts the names in and compares them.
--
-- Statement triggers, so that a COPY of a million rows costs one call. ENABLE ALWAYS, so that session_replication_role does
-- not disable them. The conditions are in the triggers and not in the functions, as that is cheaper.

CREATE OR REPLACE TRIGGER ringshard_insert AFTER INSERT ON SHARDED_TABLE
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT
    WHEN (pg_catalog.current_setting('ringshard.guard', true) IS DISTINCT FROM 'checked')
    EXECUTE FUNCTION ringshard.GUARD_INSERT();
CREATE OR REPLACE TRIGGER ringshard_update AFTER UPDATE ON SHARDED_TABLE
    REFERENCING NEW TABLE AS new_rows OLD TABLE AS old_rows FOR EACH STATEMENT
    WHEN (pg_catalog.current_setting('ringshard.guard', true) IS DISTINCT FROM 'checked')
    EXECUTE FUNCTION ringshard.GUARD_UPDATE();
CREATE OR REPLACE TRIGGER ringshard_delete AFTER DELETE ON SHARDED_TABLE
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT
    WHEN (pg_catalog.current_setting('ringshard.guard', true) IS DISTINCT FROM 'checked')
    EXECUTE FUNCTION ringshard.GUARD_DELETE();
CREATE OR REPLACE TRIGGER ringshard_truncate BEFORE TRUNCATE ON SHARDED_TABLE
    FOR EACH STATEMENT
    WHEN (pg_catalog.current_setting('ringshard.guard', true) IS DISTINCT FROM 'checked')
    EXECUTE FUNCTION ringshard.guard_truncate(KEY);
ALTER TABLE SHARDED_TABLE ENABLE ALWAYS TRIGGER ringshard_insert;
ALTER TABLE SHARDED_TABLE ENABLE ALWAYS TRIGGER ringshard_update;
ALTER TABLE SHARDED_TABLE ENABLE ALWAYS TRIGGER ringshard_delete;
ALTER TABLE SHARDED_TABLE ENABLE ALWAYS TRIGGER ringshard_truncate;
