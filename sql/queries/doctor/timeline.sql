-- Whether this server was compared with the other shards since it became the primary, and its timeline. One row.
SELECT ringshard.is_confirmed() AS is_confirmed,
       CASE WHEN pg_catalog.pg_is_in_recovery() THEN meta.timeline
            ELSE ringshard.current_timeline() END AS current
FROM ringshard.meta
