-- A point read while the ring is at rest: the row, if this is the shard, nothing is under way, and the epoch is the one by
-- whose ring the client found this shard to be the owner. No row of `meta`, no answer: then sql/get_user.sql is asked.
-- $1 is the user's id, $2 to $5 are epoch, shard, cluster and the client's version of the catalog.
SELECT users.user_id, users.name, users.region, users.email
FROM ringshard.meta LEFT JOIN public.users ON users.user_id = $1
WHERE meta.status = 'done' AND meta.epoch = $2 AND meta.shard = $3 AND meta.cluster = $4 AND meta.catalog_version <= $5
