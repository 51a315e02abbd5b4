-- Stores users ($1 to $4, arrays) on their owner, where it has none of the id. The ids of those that it stored.
INSERT INTO public.users (user_id, name, region, email)
SELECT seen.user_id, seen.name, seen.region, seen.email
FROM ROWS FROM (pg_catalog.unnest($1::bigint[]), pg_catalog.unnest($2::text[]),
                pg_catalog.unnest($3::text[]), pg_catalog.unnest($4::text[])) AS seen (user_id, name, region, email)
ON CONFLICT (user_id) DO NOTHING RETURNING user_id
