-- The rows of a chunk as arrays in the order of the ids, with size in bytes and digest; no row unless the chunk is fenced
-- exactly like this. One statement, and so one snapshot. ringshard.receive_chunk compares the digest.
SELECT chunk.*,
       pg_catalog.md5(pg_catalog.array_send(ids) || pg_catalog.array_send(names) || pg_catalog.array_send(regions)
                      || pg_catalog.array_send(emails)) AS digest
FROM ringshard.arc,
LATERAL (
    SELECT pg_catalog.count(*) AS rows,
           coalesce(pg_catalog.sum(pg_catalog.pg_column_size(users.*)), 0)::bigint AS bytes,
           coalesce(pg_catalog.array_agg(user_id), '{}') AS ids,
           coalesce(pg_catalog.array_agg(name), '{}')::text[] AS names,
           coalesce(pg_catalog.array_agg(region), '{}')::text[] AS regions,
           coalesce(pg_catalog.array_agg(email), '{}')::text[] AS emails
    FROM (
        SELECT user_id, name, region, email FROM public.users
        WHERE pg_catalog.md5(user_id::text)::uuid BETWEEN $2 AND $3 ORDER BY user_id
    ) AS users
) AS chunk
WHERE arc.last = $3 AND arc.first = $2 AND arc.state = 'fenced' AND arc.epoch = $1 AND arc.transfer_to = $4
