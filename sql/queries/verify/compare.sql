-- The users of these ($1 to $4, arrays) that this shard has, and whether the content is equal.
SELECT users.user_id, (users.name, users.region, users.email)
           IS NOT DISTINCT FROM (given.name, given.region, given.email) AS is_equal
FROM ROWS FROM (pg_catalog.unnest($1::bigint[]), pg_catalog.unnest($2::text[]),
                pg_catalog.unnest($3::text[]), pg_catalog.unnest($4::text[])) AS given (user_id, name, region, email)
JOIN public.users USING (user_id)
