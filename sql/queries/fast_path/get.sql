-- A point read while the ring is at rest: the row, if this is the shard, and its arcs are those of the ring by which the
-- client found it to be the owner. No row of `meta`, no answer: then sql/get_user.sql is asked.
-- $1 is the user's id, $2 to $6 are ring, epoch, shard, cluster and the client's version of the catalog.
SELECT users.user_id, users.name::text, users.region::text, users.email::text
FROM ringshard.meta LEFT JOIN public.users ON users.user_id = $1
WHERE meta.topology_md5 = $2 AND meta.epoch = $3 AND meta.shard = $4 AND meta.cluster = $5 AND meta.catalog_version <= $6
