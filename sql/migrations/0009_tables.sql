-- Version 9 of the catalog: sharded tables of any shape. The topology lists them; without a list it is `users` alone.

-- A row that was set aside, of any table, as the text of its record: `SELECT (contents::public.users).*` reads it.
ALTER TABLE ringshard.quarantine ADD COLUMN table_name text, ADD COLUMN contents text;
UPDATE ringshard.quarantine SET table_name = 'public.users', contents = ROW (user_id, name, region, email)::text;
ALTER TABLE ringshard.quarantine ALTER COLUMN table_name SET NOT NULL, ALTER COLUMN contents SET NOT NULL,
    DROP COLUMN user_id, DROP COLUMN name, DROP COLUMN region, DROP COLUMN email;

DROP FUNCTION IF EXISTS ringshard.raise_wrong_shard(bigint, bigint);
DROP FUNCTION IF EXISTS ringshard.receive_chunk(bigint, uuid, uuid, text, bigint[], text[], text[], text[], bigint, text);

UPDATE ringshard.meta SET catalog_version = 9;
