-- What the physical standbys of this primary have of its write-ahead log, up to $1 or, if that is NULL, up to what is on disk
-- now. One row: that position, also in bytes, and who does not have it.
--
-- With synchronous_standby_names only synchronous standbys count: the others are not to take the server over. A slot that is
-- not in use belongs to a standby that is not connected.
WITH reached AS (
    SELECT coalesce($1::text::pg_lsn, pg_catalog.pg_current_wal_flush_lsn()) AS lsn,
           pg_catalog.current_setting('synchronous_standby_names') <> '' AS is_synchronous
)
SELECT lsn::text AS lsn, pg_catalog.pg_wal_lsn_diff(lsn, '0/0')::bigint AS bytes,
       ARRAY(
           SELECT coalesce(nullif(sender.application_name, ''), sender.client_addr::text, 'process ' || sender.pid)
           FROM pg_catalog.pg_stat_replication AS sender
           LEFT JOIN pg_catalog.pg_replication_slots AS slot ON slot.active_pid = sender.pid
           WHERE slot.slot_type IS DISTINCT FROM 'logical' AND sender.state IS DISTINCT FROM 'backup'
             AND sender.application_name <> 'pg_receivewal'
             AND (NOT is_synchronous OR sender.sync_state IN ('sync', 'quorum'))
             -- NULL for a role that may not see it.
             AND (sender.flush_lsn >= lsn) IS NOT TRUE
           UNION ALL
           SELECT 'slot ' || slot.slot_name FROM pg_catalog.pg_replication_slots AS slot
           WHERE slot.slot_type = 'physical' AND NOT slot.active AND NOT slot.temporary AND NOT is_synchronous
             AND slot.restart_lsn < lsn
           ORDER BY 1
       ) AS behind,
       EXISTS (SELECT FROM pg_catalog.pg_stat_replication WHERE state IS NULL) AS is_hidden
FROM reached
