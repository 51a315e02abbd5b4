-- Brings a shard that owns nothing up to the topology in force. No row if it owns something or is in a change.
UPDATE ringshard.meta SET epoch = greatest(epoch, $1), topology = $2, wanted = NULL
WHERE status = 'done' AND epoch <= $1
  AND NOT EXISTS (SELECT FROM ringshard.arc) AND NOT EXISTS (SELECT FROM public.users)
RETURNING true
