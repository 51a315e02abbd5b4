-- The functions of version 7 of the catalog that version 8 replaces, with bodies that do nothing.

CREATE FUNCTION ringshard.write_user(
    the_cluster text, the_shard text, client_version integer, operation text, id bigint,
    set_name boolean, new_name text, set_region boolean, new_region text, set_email boolean, new_email text,
    OUT answer text, OUT epoch bigint, OUT transfer_to text,
    OUT user_id bigint, OUT name text, OUT region text, OUT email text)
LANGUAGE plpgsql AS $$ BEGIN END $$;

CREATE FUNCTION ringshard.release(the_epoch bigint, chunk_first uuid, chunk_last uuid, the_target text)
RETURNS text LANGUAGE plpgsql AS $$ BEGIN END $$;

CREATE FUNCTION ringshard.purge(the_epoch bigint, chunk_first uuid, chunk_last uuid, the_target text)
RETURNS text LANGUAGE plpgsql AS $$ BEGIN END $$;
