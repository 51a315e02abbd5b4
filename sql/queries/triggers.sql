-- The triggers on `users` that call the guard (guard.sql). Made only where one is missing or differs: this
-- waits for the writers of the table, though never for its readers.
--
-- Statement triggers: a COPY of a million rows costs one call. ENABLE ALWAYS: session_replication_role does
-- not pass by them. The conditions are part of the triggers and not of the functions, as that is cheaper.

CREATE OR REPLACE TRIGGER ringshard_insert AFTER INSERT ON public.users
    REFERENCING NEW TABLE AS these FOR EACH STATEMENT
    WHEN (pg_catalog.current_setting('ringshard.guard', true) IS DISTINCT FROM 'checked')
    EXECUTE FUNCTION ringshard.guard();
CREATE OR REPLACE TRIGGER ringshard_update AFTER UPDATE ON public.users
    REFERENCING NEW TABLE AS these OLD TABLE AS those FOR EACH STATEMENT
    WHEN (pg_catalog.current_setting('ringshard.guard', true) IS DISTINCT FROM 'checked')
    EXECUTE FUNCTION ringshard.guard();
CREATE OR REPLACE TRIGGER ringshard_delete AFTER DELETE ON public.users
    REFERENCING OLD TABLE AS these FOR EACH STATEMENT
    WHEN (pg_catalog.current_setting('ringshard.guard', true) IS DISTINCT FROM 'checked')
    EXECUTE FUNCTION ringshard.guard();
CREATE OR REPLACE TRIGGER ringshard_truncate BEFORE TRUNCATE ON public.users
    FOR EACH STATEMENT
    WHEN (pg_catalog.current_setting('ringshard.guard', true) IS DISTINCT FROM 'checked')
    EXECUTE FUNCTION ringshard.guard_truncate();
ALTER TABLE public.users ENABLE ALWAYS TRIGGER ringshard_insert;
ALTER TABLE public.users ENABLE ALWAYS TRIGGER ringshard_update;
ALTER TABLE public.users ENABLE ALWAYS TRIGGER ringshard_delete;
ALTER TABLE public.users ENABLE ALWAYS TRIGGER ringshard_truncate;
