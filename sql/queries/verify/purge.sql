-- Deletes users ($1 to $4, arrays) whose content is still equal. Returns the deleted ids.
DELETE FROM public.users
USING ROWS FROM (pg_catalog.unnest($1::bigint[]), pg_catalog.unnest($2::text[]),
                 pg_catalog.unnest($3::text[]), pg_catalog.unnest($4::text[])) AS given (user_id, name, region, email)
WHERE users.user_id = given.user_id
  AND (users.name, users.region, users.email) IS NOT DISTINCT FROM (given.name, given.region, given.email)
RETURNING users.user_id
