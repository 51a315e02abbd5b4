-- Creates a user on the fast path. No row: nothing was stored, and the client calls ringshard.write_user, which says why.
--
-- No arc can leave this shard before this commits: Postgres locks `fast_path_lock` before it takes the statement's
-- snapshot, and holds the lock to commit. A mover commits the announcement of a change, and then waits for that lock before
-- it fences an arc; a later statement sees the announcement. In stricter isolation levels a snapshot may be older than the
-- lock, so nothing is stored there. KEY SHARE and not a plain read, whose lock any pg_dump holds.
--
-- An acknowledged write is on disk, whatever the server's default. Ownership is proved, so the triggers (guard.sql) need not
-- check again. A trigger of the user's own must not store the row under another id.
-- $1 to $4: the user; $5 to $9: topology_md5, epoch, shard, cluster and the client's version of the catalog.
INSERT INTO public.users (user_id, name, region, email)
SELECT $1, $2, $3, $4 FROM ringshard.meta
WHERE meta.topology_md5 = $5 AND meta.epoch = $6 AND meta.shard = $7 AND meta.cluster = $8 AND meta.catalog_version = $9
  AND NOT EXISTS (SELECT FROM ringshard.fast_path_lock FOR KEY SHARE)
  AND meta.timeline = pg_catalog.left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 8)
  AND pg_catalog.current_setting('row_security') = 'off'
  AND pg_catalog.current_setting('transaction_isolation') = 'read committed'
  AND (pg_catalog.current_setting('synchronous_commit') NOT IN ('off', 'local')
       OR pg_catalog.set_config('synchronous_commit', 'on', true) IS NOT NULL)
  AND (SELECT pg_catalog.set_config('ringshard.guard', 'checked', true)) IS NOT NULL
ON CONFLICT (user_id) DO NOTHING RETURNING CASE WHEN users.user_id = $1 THEN users.user_id ELSE ringshard.raise_other_row($1) END AS user_id,
    users.name::text, users.region::text, users.email::text
