-- One row: the identity of this shard, its number of users, and the size of its table.
SELECT meta.shard, meta.cluster,
       (SELECT count(*) FROM public.users) AS rows,
       pg_catalog.pg_total_relation_size('public.users') AS size_bytes
FROM ringshard.meta
