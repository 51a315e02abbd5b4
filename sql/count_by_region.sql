-- A row a region; one row with 0 if there are no users.
SELECT meta.shard, meta.cluster::text, counted.region, coalesce(counted.rows, 0) AS rows
FROM ringshard.meta
LEFT JOIN (
    SELECT users.region::text, count(*) AS rows FROM public.users GROUP BY users.region
) AS counted ON true
