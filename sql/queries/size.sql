-- One row: the identity of this shard, the number of rows of its sharded tables, and the size of these. Fails if a table stays
-- locked for two seconds, as by an ALTER TABLE that is not committed.
SELECT meta.shard, meta.cluster,
       ringshard.count_rows() AS rows,
       (SELECT coalesce(pg_catalog.sum(pg_catalog.pg_total_relation_size(sharded.part)), 0)::bigint
        FROM ringshard.sharded_parts() AS sharded) AS size_bytes
FROM ringshard.meta
-- For this statement alone; a subquery with a volatile function is run before the columns above.
CROSS JOIN LATERAL (SELECT pg_catalog.set_config('lock_timeout', '2s', true) AS limited OFFSET 0) AS limits
WHERE limits.limited IS NOT NULL
