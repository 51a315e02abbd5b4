-- Writes the first rows of a shard's catalog: its identity, and its arcs by the ring.
WITH written AS (
    INSERT INTO ringshard.meta (catalog_version, cluster, shard, epoch, topology, system_identifier)
    SELECT $1, $2, $3, $4, $5, system_identifier FROM pg_catalog.pg_control_system()
)
INSERT INTO ringshard.arc (first, last, epoch)
SELECT arcs.first, arcs.last, $4 FROM unnest($6::uuid[], $7::uuid[]) AS arcs (first, last)
