-- One row: whether this shard holds a user, owner or not.
SELECT meta.shard, meta.cluster,
       EXISTS (SELECT FROM public.users WHERE users.user_id = $1) AS holds
FROM ringshard.meta
