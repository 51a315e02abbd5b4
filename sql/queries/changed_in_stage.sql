-- How many of the users $3 a trigger of the user's own stored with other values than the rows $1 to $2 of the stage have, the
-- last one being excluded, and the least id of them. Of two rows with one id the last counts if $4, else the first. Only the
-- columns that the file has count: name if $5, region if $6, email if $7.
SELECT pg_catalog.count(*), pg_catalog.min(users.user_id)
FROM (
    SELECT DISTINCT ON (user_id) user_id, name, region, email
    FROM pg_temp.ringshard_stage WHERE record >= $1 AND record < $2
    ORDER BY user_id, CASE WHEN $4 THEN -record ELSE record END
) AS given JOIN public.users USING (user_id)
WHERE user_id = ANY ($3)
  AND ($5 AND users.name IS DISTINCT FROM given.name OR $6 AND users.region IS DISTINCT FROM given.region
       OR $7 AND users.email IS DISTINCT FROM given.email)
