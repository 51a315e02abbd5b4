-- Deletes these users ($1 to $4, arrays), each only if it still has just this content. A row for each.
DELETE FROM public.users
USING ROWS FROM (pg_catalog.unnest($1::bigint[]), pg_catalog.unnest($2::text[]),
                 pg_catalog.unnest($3::text[]), pg_catalog.unnest($4::text[])) AS seen (user_id, name, region, email)
WHERE users.user_id = seen.user_id
  AND (users.name, users.region, users.email) IS NOT DISTINCT FROM (seen.name, seen.region, seen.email)
RETURNING users.user_id
