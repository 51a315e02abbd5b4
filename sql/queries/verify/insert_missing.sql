-- Inserts users ($1 to $4, arrays) on their owner, except those whose id exists. Returns the inserted ids.
INSERT INTO public.users (user_id, name, region, email)
SELECT given.user_id, given.name, given.region, given.email
FROM ROWS FROM (pg_catalog.unnest($1::bigint[]), pg_catalog.unnest($2::text[]),
                pg_catalog.unnest($3::text[]), pg_catalog.unnest($4::text[])) AS given (user_id, name, region, email)
ON CONFLICT (user_id) DO NOTHING RETURNING user_id
