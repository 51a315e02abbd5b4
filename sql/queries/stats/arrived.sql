-- What this shard has taken over in the change that is under way, and from whom.
SELECT migration_progress.source, migration_progress.rows, migration_progress.bytes
FROM ringshard.migration_progress JOIN ringshard.meta ON migration_progress.epoch = meta.epoch AND meta.status = 'pending'
ORDER BY migration_progress.source
