-- Stores users if this is the shard that is meant ($1 its cluster, NULL if not known, and $2 its name), in a state
-- that the client knows ($3 the newest epoch, $4 the newest version of the catalog), and if it owns all their
-- positions ($5); else none. The transaction holds the barrier by now. Says how many it stored, and by which
-- transaction.
WITH held AS MATERIALIZED (
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
               AND meta.epoch <= $3 AND meta.catalog_version <= $4
        FROM ringshard.meta
    ) AND NOT EXISTS (
        SELECT FROM pg_catalog.unnest($5::uuid[]) AS place, held
        WHERE (place <= held.lasts[pg_catalog.width_bucket(place, held.firsts)]) IS NOT TRUE
    )
    ON CONFLICT (user_id) DO NOTHING
    RETURNING 1
)
SELECT pg_catalog.count(*), pg_catalog.pg_current_xact_id()::text FROM stored
