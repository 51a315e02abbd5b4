-- The functions of version 5 of the catalog, but for `write_user`: the names and parameters of that version, with bodies that do nothing.
-- Migration 6 has to drop or replace them, as CREATE OR REPLACE refuses other names of parameters and columns.

CREATE FUNCTION ringshard.owner_of(topology jsonb, place uuid)
RETURNS text LANGUAGE plpgsql AS $$ BEGIN END $$;

CREATE FUNCTION ringshard.refuse(stray bigint, strays bigint)
RETURNS void LANGUAGE plpgsql AS $$ BEGIN END $$;

CREATE FUNCTION ringshard.guard()
RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;

CREATE FUNCTION ringshard.guard_truncate()
RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;

CREATE FUNCTION ringshard.be_durable()
RETURNS void LANGUAGE plpgsql AS $$ BEGIN END $$;

CREATE FUNCTION ringshard.announce(
    the_epoch bigint, the_topology jsonb, the_target jsonb, the_members jsonb, condition text)
RETURNS text LANGUAGE plpgsql AS $$ BEGIN END $$;

CREATE FUNCTION ringshard.fence(
    the_epoch bigint, chunk_first uuid, chunk_last uuid, before_chunk uuid, behind_chunk uuid, the_target text)
RETURNS text LANGUAGE plpgsql AS $$ BEGIN END $$;

CREATE FUNCTION ringshard.adopt(
    the_epoch bigint, chunk_first uuid, chunk_last uuid, the_source text,
    ids bigint[], names text[], regions text[], emails text[], the_bytes bigint, the_digest text)
RETURNS text LANGUAGE plpgsql AS $$ BEGIN END $$;

CREATE FUNCTION ringshard.purge(the_epoch bigint, chunk_first uuid, chunk_last uuid, the_target text)
RETURNS text LANGUAGE plpgsql AS $$ BEGIN END $$;

CREATE FUNCTION ringshard.release(the_epoch bigint, chunk_first uuid, chunk_last uuid, the_target text)
RETURNS text LANGUAGE plpgsql AS $$ BEGIN END $$;

CREATE FUNCTION ringshard.finish(
    the_epoch bigint, firsts uuid[], lasts uuid[], epochs bigint[], merged_firsts uuid[], merged_lasts uuid[])
RETURNS text LANGUAGE plpgsql AS $$ BEGIN END $$;

CREATE FUNCTION ringshard.replace_primary(
    the_shard text, the_incarnation bigint, the_url text, the_replicas text[], old_url text, the_epoch bigint)
RETURNS text LANGUAGE plpgsql AS $$ BEGIN END $$;

CREATE FUNCTION ringshard.restate(
    seen_epoch bigint, seen_firsts uuid[], seen_lasts uuid[], seen_epochs bigint[], seen_peers text[],
    the_epoch bigint, the_topology jsonb, the_target jsonb, the_members jsonb,
    firsts uuid[], lasts uuid[], epochs bigint[], peers text[], is_at_rest boolean, the_dead text, dead_url text)
RETURNS text LANGUAGE plpgsql AS $$ BEGIN END $$;

CREATE FUNCTION ringshard.retire(the_shard text, new_name text, the_epoch bigint, the_topology jsonb)
RETURNS text LANGUAGE plpgsql AS $$ BEGIN END $$;
