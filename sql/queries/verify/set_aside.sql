-- The same as purge.sql, and what is deleted goes into the quarantine; $5 says why.
WITH strays AS (
    DELETE FROM public.users
    USING ROWS FROM (pg_catalog.unnest($1::bigint[]), pg_catalog.unnest($2::text[]),
                     pg_catalog.unnest($3::text[]), pg_catalog.unnest($4::text[])) AS seen (user_id, name, region, email)
    WHERE users.user_id = seen.user_id
      AND (users.name, users.region, users.email) IS NOT DISTINCT FROM (seen.name, seen.region, seen.email)
    RETURNING users.user_id, users.name, users.region, users.email
)
INSERT INTO ringshard.quarantine (reason, user_id, name, region, email)
SELECT $5, user_id, name, region, email FROM strays
RETURNING user_id
