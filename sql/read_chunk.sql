-- The rows of a chunk, as arrays in the order of the ids, with their size and digest; no row unless it is fenced
-- just so. One statement, and so one snapshot. The digest is compared by ringshard.adopt (moves.sql).
SELECT chunk.*
FROM ringshard.arc,
LATERAL (
    SELECT pg_catalog.count(*) AS rows,
           coalesce(pg_catalog.sum(pg_catalog.pg_column_size(users.*)), 0)::bigint AS bytes,
           pg_catalog.md5(coalesce(pg_catalog.string_agg(users::text, E'\n'), '')) AS digest,
           coalesce(pg_catalog.array_agg(user_id), '{}') AS ids,
           coalesce(pg_catalog.array_agg(name), '{}')::text[] AS names,
           coalesce(pg_catalog.array_agg(region), '{}')::text[] AS regions,
           coalesce(pg_catalog.array_agg(email), '{}')::text[] AS emails
    FROM (
        SELECT user_id, name, region, email FROM public.users
        WHERE pg_catalog.md5(user_id::text)::uuid BETWEEN $2 AND $3 ORDER BY user_id
    ) AS users
) AS chunk
WHERE arc.last = $3 AND arc.first = $2 AND arc.state = 'fenced' AND arc.epoch = $1 AND arc.peer = $4
