-- The stage of an import whose records may conflict with each other. `record` keeps their order. It has no constraint, so
-- that a row which `users` refuses is refused there.
CREATE TEMPORARY TABLE IF NOT EXISTS ringshard_stage (
    user_id bigint,
    name text,
    region text,
    email text,
    record bigint GENERATED ALWAYS AS IDENTITY
) ON COMMIT DELETE ROWS
