-- One row: whether this shard holds a position ($1), and how: 'owned', 'fenced', or NULL.
SELECT meta.shard, meta.cluster,
       (SELECT arc.state FROM ringshard.arc WHERE arc.first <= $1 AND arc.last >= $1) AS state
FROM ringshard.meta
