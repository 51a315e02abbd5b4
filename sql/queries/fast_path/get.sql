-- A point read on the fast path: one row if this is the expected shard and its arcs are exactly those of the client's
-- topology, by which the client routed the user. No row: the client uses get_user.sql; also if the column about policies is
-- true, as then one may have hidden the user. That is a column, as a condition that reads no table costs a node of the plan.
-- $1: the user's id; $2 to $6: topology_md5, epoch, shard, cluster and the client's version of the catalog.
SELECT users.user_id, users.name::text, users.region::text, users.email::text,
       pg_catalog.row_security_active('public.users'::pg_catalog.regclass), pg_catalog.pg_is_in_recovery()
FROM ringshard.meta LEFT JOIN public.users ON users.user_id = $1
WHERE meta.topology_md5 = $2 AND meta.epoch = $3 AND meta.shard = $4 AND meta.cluster = $5 AND meta.catalog_version = $6
  AND CASE WHEN pg_catalog.pg_is_in_recovery() THEN true ELSE meta.timeline =
      pg_catalog.left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 8) END
