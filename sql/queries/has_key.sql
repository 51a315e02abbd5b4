-- One row: whether this shard has a row with the key $1, whether it is the owner or not.
SELECT meta.shard, meta.cluster, ringshard.has_key($1) AS has_key FROM ringshard.meta
