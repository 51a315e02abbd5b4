-- A shard's first own rows: who it is, and the arcs that the ring gives it.
WITH written AS (
    INSERT INTO ringshard.meta (catalog_version, cluster, shard, epoch, topology)
    VALUES ($1, $2::text::uuid, $3, 1, $4)
)
INSERT INTO ringshard.arc (first, last, epoch)
SELECT arcs.first::uuid, arcs.last::uuid, 1 FROM unnest($5::text[], $6::text[]) AS arcs (first, last)
