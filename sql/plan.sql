-- What lies on each of these ranges ($1 the first positions, $2 the last ones, in order), and, as range 0, on none.
SELECT CASE WHEN piece > 0 AND place <= ($2::uuid[])[piece] THEN piece ELSE 0 END AS piece,
       pg_catalog.count(*) AS rows, pg_catalog.sum(bytes)::bigint AS bytes
FROM (
    SELECT place, pg_catalog.width_bucket(place, $1::uuid[]) AS piece, bytes
    FROM (
        SELECT pg_catalog.md5(user_id::text)::uuid AS place, pg_catalog.pg_column_size(users.*) AS bytes
        FROM public.users OFFSET 0
    ) AS sized OFFSET 0
) AS placed
GROUP BY 1
