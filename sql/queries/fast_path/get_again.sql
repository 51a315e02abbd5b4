-- get.sql for a session that has proved there what does not change while its backend lives: that the server is a primary, on the
-- timeline that the catalog names, and that no policy hides rows.
-- $1: the user's id; $2 to $6: topology_md5, epoch, shard, cluster and the client's version of the catalog.
SELECT users.user_id, users.name::text, users.region::text, users.email::text
FROM ringshard.meta LEFT JOIN public.users ON users.user_id = $1
WHERE meta.topology_md5 = $2 AND meta.epoch = $3 AND meta.shard = $4 AND meta.cluster = $5 AND meta.catalog_version = $6
