-- What this shard says of its cluster. One row.
SELECT meta.catalog_version, meta.cluster::text, meta.shard, meta.epoch, meta.status, meta.topology,
       (SELECT pg_catalog.jsonb_object_agg(address.shard, address.url) FROM ringshard.address) AS addresses
FROM ringshard.meta
