-- How a shard does. One row, of what every role may see from Postgres 14 on; what it may not see is null.
SELECT EXTRACT(epoch FROM pg_catalog.clock_timestamp())::double precision AS at_seconds,
       EXTRACT(epoch FROM pg_catalog.pg_postmaster_start_time())::double precision AS started_seconds,
       EXTRACT(epoch FROM of_database.stats_reset)::double precision AS reset_seconds,
       server.is_standby,
       -- What is counted goes on from the last VACUUM or ANALYZE. After a crash there is none to go on from: then more rows
       -- were found in the table once than have come since the counters began. A standby counts none.
       (SELECT pg_catalog.sum(CASE
                   WHEN server.is_standby
                       THEN CASE WHEN found.reltuples >= 0 THEN found.reltuples::bigint END
                   WHEN coalesce(live.last_vacuum, live.last_autovacuum, live.last_analyze, live.last_autoanalyze) IS NULL
                       AND found.reltuples > live.n_tup_ins
                       THEN greatest(found.reltuples::bigint + live.n_tup_ins - live.n_tup_del, 0)
                   ELSE live.n_live_tup
               END)::bigint
        FROM pg_catalog.pg_class AS found JOIN pg_catalog.pg_stat_all_tables AS live ON live.relid = found.oid
        -- The numbers of a partitioned table are those of its partitions at its last ANALYZE.
        WHERE found.relkind = 'r' AND found.oid IN (SELECT sharded.part FROM ringshard.sharded_parts() AS sharded)) AS rows,
       CASE WHEN pg_catalog.has_database_privilege(of_database.datid, 'CONNECT')
           THEN pg_catalog.pg_database_size(of_database.datid) END AS size_bytes,
       (SELECT pg_catalog.sum(numbackends)::bigint FROM pg_catalog.pg_stat_database) AS connections,
       pg_catalog.current_setting('max_connections')::bigint
           - pg_catalog.current_setting('superuser_reserved_connections')::bigint
           -- New in Postgres 16.
           - coalesce(pg_catalog.current_setting('reserved_connections', true)::bigint, 0) AS connections_allowed,
       of_database.xact_commit AS commits,
       of_database.xact_rollback AS rollbacks,
       of_database.blks_hit AS blocks_hit,
       of_database.blks_read AS blocks_read,
       of_database.deadlocks,
       of_database.temp_bytes,
       pg_catalog.pg_wal_lsn_diff(server.position, '0/0')::bigint AS wal_bytes,
       (SELECT setting FROM pg_catalog.pg_settings WHERE name = 'data_directory') AS data_folder,
       standbys.replicas,
       CASE WHEN server.is_standby
           -- One that was started again without its primary has received less than it has replayed.
           THEN greatest(pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_last_wal_receive_lsn(), server.position), 0)::bigint
           ELSE standbys.lag_bytes END AS lag_bytes,
       CASE WHEN NOT server.is_standby THEN standbys.lag_seconds
            WHEN pg_catalog.pg_last_wal_receive_lsn() <= server.position THEN 0
            ELSE EXTRACT(epoch FROM pg_catalog.clock_timestamp() - pg_catalog.pg_last_xact_replay_timestamp())
       END::double precision AS lag_seconds
FROM pg_catalog.pg_stat_database AS of_database,
LATERAL (
    SELECT pg_catalog.pg_is_in_recovery() AS is_standby,
           CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
               ELSE pg_catalog.pg_current_wal_lsn() END AS position,
           -- What is not on disk yet no standby can have.
           CASE WHEN NOT pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_current_wal_flush_lsn() END AS flushed
) AS server,
LATERAL (
    -- A backup streams as well, and is no standby. To a role that may not see them, all but their number is null.
    SELECT count(*) AS replicas,
           pg_catalog.max(CASE WHEN replay_lsn >= server.flushed THEN 0
                               ELSE pg_catalog.pg_wal_lsn_diff(server.flushed, replay_lsn) END)::bigint AS lag_bytes,
           -- Null while there is nothing to replay; as the standby told it last.
           pg_catalog.max(CASE WHEN replay_lsn >= server.flushed THEN 0
                               ELSE EXTRACT(epoch FROM replay_lag) END)::double precision AS lag_seconds
    FROM pg_catalog.pg_stat_replication WHERE state IS DISTINCT FROM 'backup'
) AS standbys
WHERE of_database.datname = pg_catalog.current_database()
