-- The replication state of a server. $1: its primary's position in the write-ahead log, or NULL.
SELECT pg_catalog.pg_is_in_recovery() AS is_standby,
       coalesce(pg_catalog.pg_last_wal_replay_lsn()::text, '') AS replayed,
       -- The last received record may be incomplete; after a restart nothing has been received yet.
       coalesce(pg_catalog.pg_wal_lsn_diff(greatest(pg_catalog.pg_last_wal_receive_lsn(),
                                                    pg_catalog.pg_last_wal_replay_lsn()), '0/0'), 0)::bigint AS received,
       pg_catalog.pg_wal_lsn_diff($1::text::pg_lsn, pg_catalog.pg_last_wal_replay_lsn())::bigint AS lag_bytes,
       EXTRACT(epoch FROM pg_catalog.clock_timestamp() - pg_catalog.pg_last_xact_replay_timestamp())::float8 AS age_seconds
