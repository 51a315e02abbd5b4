-- What this shard has taken over in the change that is under way, and from whom.
SELECT moved.source, moved.rows, moved.bytes
FROM ringshard.moved JOIN ringshard.meta ON moved.epoch = meta.epoch AND meta.status = 'pending'
ORDER BY moved.source
