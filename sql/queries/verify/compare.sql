-- Which of these users ($1 to $4, arrays) are here, and whether each has just this content.
SELECT users.user_id, (users.name, users.region, users.email)
           IS NOT DISTINCT FROM (seen.name, seen.region, seen.email) AS is_equal
FROM ROWS FROM (pg_catalog.unnest($1::bigint[]), pg_catalog.unnest($2::text[]),
                pg_catalog.unnest($3::text[]), pg_catalog.unnest($4::text[])) AS seen (user_id, name, region, email)
JOIN public.users USING (user_id)
