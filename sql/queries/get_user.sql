-- A point read: who answers, its epoch, the arc at or behind the position, and the row, in one snapshot.
-- $1 is the user's position, $2 its id. Bare columns and no function of ours: on a fresh connection each
-- name that Postgres has to look up first is felt. What the columns mean is decided by the client.
SELECT meta.shard, meta.cluster, meta.epoch, held.first, held.state, held.transfer_to,
       users.user_id, users.name, users.region, users.email, meta.catalog_version, held.epoch
FROM ringshard.meta
LEFT JOIN LATERAL (
    SELECT arc.first, arc.state, arc.transfer_to, arc.epoch FROM ringshard.arc
    WHERE arc.last >= $1 ORDER BY arc.last LIMIT 1
) AS held ON true
LEFT JOIN public.users ON users.user_id = $2
