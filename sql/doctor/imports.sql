-- Imports that are under way, or that were interrupted.
SELECT source::text AS source, records,
       pg_catalog.floor(EXTRACT(epoch FROM pg_catalog.clock_timestamp() - begun))::bigint AS seconds
FROM ringshard.import ORDER BY begun, source
