-- One row: whether this shard has a row of user $1, whether it is the owner or not.
SELECT meta.shard, meta.cluster,
       EXISTS (SELECT FROM public.users WHERE users.user_id = $1) AS has_user
FROM ringshard.meta
