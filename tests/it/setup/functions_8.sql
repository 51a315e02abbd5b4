-- The functions of version 8 of the catalog that version 9 replaces, with bodies that do nothing.

CREATE FUNCTION ringshard.raise_wrong_shard(id bigint, refused bigint)
RETURNS void LANGUAGE plpgsql AS $$ BEGIN END $$;

CREATE FUNCTION ringshard.receive_chunk(
    the_epoch bigint, chunk_first uuid, chunk_last uuid, the_source text,
    ids bigint[], names text[], regions text[], emails text[], the_bytes bigint, the_digest text)
RETURNS text LANGUAGE plpgsql AS $$ BEGIN END $$;
