-- Stores users ($6 to $9, arrays), all or none: only if this is the expected shard ($1 its cluster, NULL if unknown, and
-- $2 its name), its epoch is $3, its catalog has version $4, its timeline is confirmed, and it owns all their
-- positions ($5). The transaction already holds the barrier. Returns how many it stored, and its transaction id.
WITH owned AS MATERIALIZED (
    SELECT pg_catalog.array_agg(arc.first ORDER BY arc.last) AS firsts,
           pg_catalog.array_agg(arc.last ORDER BY arc.last) AS lasts
    FROM ringshard.arc WHERE arc.state = 'owned'
), stored AS (
    INSERT INTO public.users (user_id, name, region, email)
    SELECT new_user.user_id, new_user.name, new_user.region, new_user.email
    FROM ROWS FROM (pg_catalog.unnest($6::bigint[]), pg_catalog.unnest($7::text[]),
                    pg_catalog.unnest($8::text[]), pg_catalog.unnest($9::text[]))
         AS new_user (user_id, name, region, email)
    WHERE (
        SELECT meta.shard = $2 AND coalesce(meta.cluster = $1, $1 IS NULL)
               AND meta.epoch = $3 AND meta.catalog_version = $4
               AND meta.timeline = pg_catalog.left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 8)
        FROM ringshard.meta
    ) AND NOT EXISTS (
        SELECT FROM pg_catalog.unnest($5::uuid[]) AS position, owned
        WHERE (position <= owned.lasts[pg_catalog.width_bucket(position, owned.firsts)]) IS NOT TRUE
    )
    ON CONFLICT (user_id) DO NOTHING
    RETURNING user_id, name, region, email
)
-- Only rows that are stored as they were given: a trigger of the user's own may change them.
SELECT pg_catalog.count(*), pg_catalog.pg_current_xact_id()::text
FROM stored
WHERE EXISTS (
    SELECT FROM ROWS FROM (pg_catalog.unnest($6::bigint[]), pg_catalog.unnest($7::text[]),
                           pg_catalog.unnest($8::text[]), pg_catalog.unnest($9::text[]))
         AS new_user (user_id, name, region, email)
    WHERE new_user.user_id = stored.user_id
      AND (new_user.name, new_user.region, new_user.email) IS NOT DISTINCT FROM (stored.name, stored.region, stored.email)
)
