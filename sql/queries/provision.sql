-- Provisions a shard that owns nothing with the topology in force. As no change is under way, its state of an earlier change
-- is outdated, and so are its import checkpoints, whose rows have moved. No row if it owns something.
WITH provisioned AS (
    UPDATE ringshard.meta
    SET epoch = $1, status = 'done', topology = $2, next_topology = NULL, participants = NULL, desired_topology = NULL,
        topology_md5 = pg_catalog.md5($2::jsonb::text)::uuid
    WHERE epoch <= $1 AND NOT EXISTS (SELECT FROM ringshard.arc) AND ringshard.count_rows() = 0
    RETURNING true
), deleted AS (
    DELETE FROM ringshard.import WHERE EXISTS (SELECT FROM provisioned)
)
SELECT FROM provisioned
