-- One row: the identity of this shard, the number of rows of its sharded tables, and the size of these.
SELECT meta.shard, meta.cluster,
       ringshard.count_rows() AS rows,
       (SELECT coalesce(pg_catalog.sum(pg_catalog.pg_total_relation_size(part)), 0)::bigint
        FROM (SELECT sharded.relation AS part FROM ringshard.sharded_tables() AS sharded WHERE sharded.relation IS NOT NULL
              UNION
              SELECT tree.relid FROM ringshard.sharded_tables() AS sharded
              CROSS JOIN LATERAL pg_catalog.pg_partition_tree(sharded.relation) AS tree) AS parts) AS size_bytes
FROM ringshard.meta
