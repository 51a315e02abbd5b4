-- Version 6 of the catalog: new names of tables, columns and functions. Nothing else changes.

ALTER TABLE ringshard.meta RENAME COLUMN target TO next_topology;
ALTER TABLE ringshard.meta RENAME COLUMN members TO participants;
ALTER TABLE ringshard.meta RENAME COLUMN wanted TO desired_topology;
ALTER TABLE ringshard.meta RENAME COLUMN retired TO stale_endpoints;
ALTER TABLE ringshard.meta RENAME COLUMN ring TO topology_md5;
ALTER TABLE ringshard.meta RENAME CONSTRAINT meta_members_check TO meta_participants_check;
ALTER TABLE ringshard.meta RENAME CONSTRAINT meta_ring_check TO meta_topology_md5_check;

ALTER TABLE ringshard.arc RENAME COLUMN peer TO transfer_to;

ALTER TABLE ringshard.at_rest RENAME TO fast_path_lock;
COMMENT ON TABLE ringshard.fast_path_lock IS 'Always empty. A write on the fast path holds a lock on it, and a fence waits for that lock.';

ALTER TABLE ringshard.address RENAME TO shard_endpoint;
ALTER TABLE ringshard.moved RENAME TO migration_progress;
COMMENT ON TABLE ringshard.migration_progress IS 'How many rows and bytes this shard has received in the current change, by source.';
ALTER TABLE ringshard.run RENAME TO rebalance_run;
COMMENT ON TABLE ringshard.rebalance_run IS 'The client that carries out a change of the ring, or did so last; on the first shard only.';

ALTER TABLE ringshard.import RENAME COLUMN records TO committed_through;
ALTER TABLE ringshard.import RENAME COLUMN high TO high_water_mark;

-- Drops the functions of older versions: some have another name, and CREATE OR REPLACE refuses other names of parameters. The
-- two functions that triggers call stay, and are replaced.
DO $$
DECLARE
    old regprocedure;
BEGIN
    FOR old IN
        SELECT oid FROM pg_catalog.pg_proc
        WHERE pronamespace = 'ringshard'::regnamespace
          AND proname IN ('write_user', 'owner_of', 'refuse', 'be_durable', 'announce', 'fence', 'adopt', 'purge', 'release',
                          'finish', 'replace_primary', 'restate', 'retire')
    LOOP
        EXECUTE 'DROP FUNCTION ' || old;
    END LOOP;
END $$;

UPDATE ringshard.meta SET catalog_version = 6;
