-- One row: the users of one region, found by the index on it.
SELECT meta.shard, meta.cluster::text, $1::text AS region,
       (SELECT count(*) FROM public.users WHERE users.region = $1) AS rows
FROM ringshard.meta
