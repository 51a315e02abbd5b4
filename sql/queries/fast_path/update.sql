-- Updates a user on the fast path; see create.sql. No row: nothing was updated.
-- $1: the id; $2 and $3, $4 and $5, $6 and $7: whether to set name, region and email, and the values; $8 to $12:
-- topology_md5, epoch, shard, cluster and the client's version of the catalog.
UPDATE public.users SET
    name = CASE WHEN $2 THEN $3 ELSE users.name END,
    region = CASE WHEN $4 THEN $5 ELSE users.region END,
    email = CASE WHEN $6 THEN $7 ELSE users.email END
FROM ringshard.meta
WHERE users.user_id = $1
  AND meta.topology_md5 = $8 AND meta.epoch = $9 AND meta.shard = $10 AND meta.cluster = $11 AND meta.catalog_version = $12
  AND NOT EXISTS (SELECT FROM ringshard.fast_path_lock FOR KEY SHARE)
  AND meta.timeline = pg_catalog.left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 8)
  AND pg_catalog.current_setting('row_security') = 'off'
  AND pg_catalog.current_setting('transaction_isolation') = 'read committed'
  AND (pg_catalog.current_setting('synchronous_commit') NOT IN ('off', 'local')
       OR pg_catalog.set_config('synchronous_commit', 'on', true) IS NOT NULL)
  AND (SELECT pg_catalog.set_config('ringshard.guard', 'checked', true)) IS NOT NULL
RETURNING CASE WHEN users.user_id = $1 THEN users.user_id ELSE ringshard.raise_other_row($1) END AS user_id,
    users.name::text, users.region::text, users.email::text
