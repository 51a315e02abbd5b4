-- A new user while the ring is at rest, as sql/at_rest/get.sql reads one. No row: it was not stored, and
-- ringshard.write_user is asked, which also says why.
--
-- Why no arc can be taken from this shard before this commits: the lock on `at_rest` is taken before the statement's
-- snapshot, as Postgres locks all tables of a statement first, and held to commit. Who fences an arc has announced the
-- change, by commit, and then waits for that lock; a statement that comes later sees the announcement. In stricter
-- isolation levels a snapshot may be older than the lock: there nothing is stored. KEY SHARE and not a plain read, whose
-- lock any pg_dump holds.
--
-- An acknowledged write is on disk, whatever the server's default. What is proved here the triggers (guard.sql) need
-- not prove again.
-- $1 to $4 are the user, $5 to $9 ring, epoch, shard, cluster and the client's version of the catalog.
INSERT INTO public.users (user_id, name, region, email)
SELECT $1, $2, $3, $4 FROM ringshard.meta
WHERE meta.topology_md5 = $5 AND meta.epoch = $6 AND meta.shard = $7 AND meta.cluster = $8 AND meta.catalog_version <= $9
  AND NOT EXISTS (SELECT FROM ringshard.fast_path_lock FOR KEY SHARE)
  AND pg_catalog.current_setting('transaction_isolation') = 'read committed'
  AND (pg_catalog.current_setting('synchronous_commit') NOT IN ('off', 'local')
       OR pg_catalog.set_config('synchronous_commit', 'on', true) IS NOT NULL)
  AND (SELECT pg_catalog.set_config('ringshard.guard', 'checked', true)) IS NOT NULL
ON CONFLICT (user_id) DO NOTHING RETURNING users.user_id
