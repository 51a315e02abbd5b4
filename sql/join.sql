-- Brings a shard that owns nothing up to the topology in force. What it says of a change it was part of is old: the
-- cluster is at rest. No row if it owns something.
UPDATE ringshard.meta
SET epoch = $1, status = 'done', topology = $2, target = NULL, members = NULL, wanted = NULL
WHERE epoch <= $1 AND NOT EXISTS (SELECT FROM ringshard.arc) AND NOT EXISTS (SELECT FROM public.users)
RETURNING true
