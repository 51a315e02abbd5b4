-- The stage of an import whose records may conflict with each other. `record` keeps their order.
CREATE TEMPORARY TABLE IF NOT EXISTS ringshard_stage (
    LIKE public.users,
    record bigint GENERATED ALWAYS AS IDENTITY
) ON COMMIT DELETE ROWS
