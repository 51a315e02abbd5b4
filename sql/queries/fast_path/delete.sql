-- Deletes a user on the fast path; see create.sql. No row: nothing was deleted.
-- $1: the id; $2 to $6: topology_md5, epoch, shard, cluster and the client's version of the catalog.
DELETE FROM public.users USING ringshard.meta
WHERE users.user_id = $1
  AND meta.topology_md5 = $2 AND meta.epoch = $3 AND meta.shard = $4 AND meta.cluster = $5 AND meta.catalog_version = $6
  AND NOT EXISTS (SELECT FROM ringshard.fast_path_lock FOR KEY SHARE)
  AND meta.timeline = pg_catalog.left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 8)
  AND pg_catalog.current_setting('row_security') = 'off'
  AND pg_catalog.current_setting('transaction_isolation') = 'read committed'
  AND (pg_catalog.current_setting('synchronous_commit') NOT IN ('off', 'local')
       OR pg_catalog.set_config('synchronous_commit', 'on', true) IS NOT NULL)
  AND (SELECT pg_catalog.set_config('ringshard.guard', 'checked', true)) IS NOT NULL
RETURNING users.user_id, users.name::text, users.region::text, users.email::text
