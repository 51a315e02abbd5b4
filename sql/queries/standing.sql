-- How a replica stands. $1: where its primary is in the write-ahead log, if that is known.
SELECT pg_catalog.pg_is_in_recovery() AS is_standby,
       coalesce(pg_catalog.pg_last_wal_replay_lsn()::text, '') AS replayed,
       -- What it has received last may be half a record; after a restart it has received nothing yet.
       coalesce(pg_catalog.pg_wal_lsn_diff(greatest(pg_catalog.pg_last_wal_receive_lsn(),
                                                    pg_catalog.pg_last_wal_replay_lsn()), '0/0'), 0)::bigint AS received,
       pg_catalog.pg_wal_lsn_diff($1::text::pg_lsn, pg_catalog.pg_last_wal_replay_lsn())::bigint AS lag_bytes,
       EXTRACT(epoch FROM pg_catalog.clock_timestamp() - pg_catalog.pg_last_xact_replay_timestamp())::float8 AS age_seconds
