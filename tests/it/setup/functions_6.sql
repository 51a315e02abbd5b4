-- The functions of version 6 of the catalog that version 7 replaces, with bodies that do nothing.

CREATE FUNCTION ringshard.write_user(
    the_cluster text, the_shard text, operation text, id bigint,
    set_name boolean, new_name text, set_region boolean, new_region text, set_email boolean, new_email text,
    OUT answer text, OUT epoch bigint, OUT transfer_to text,
    OUT user_id bigint, OUT name text, OUT region text, OUT email text)
LANGUAGE plpgsql AS $$ BEGIN END $$;

CREATE FUNCTION ringshard.guard()
RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;

CREATE TRIGGER ringshard_insert AFTER INSERT ON public.users
    FOR EACH STATEMENT EXECUTE FUNCTION ringshard.guard();
