-- One row: the state of this shard's arc at position $1: 'owned', 'fenced', or NULL if it has none.
SELECT meta.shard, meta.cluster,
       (SELECT arc.state FROM ringshard.arc WHERE arc.first <= $1 AND arc.last >= $1) AS state
FROM ringshard.meta
