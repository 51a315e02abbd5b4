-- One row: the identity of this shard, the number of rows of its sharded tables, and the size of these.
SELECT meta.shard, meta.cluster,
       ringshard.count_rows() AS rows,
       (SELECT coalesce(pg_catalog.sum(pg_catalog.pg_total_relation_size(sharded.part)), 0)::bigint
        FROM ringshard.sharded_parts() AS sharded) AS size_bytes
FROM ringshard.meta
