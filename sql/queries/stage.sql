-- Where rows wait that may be in each other's way. `record` keeps their order.
CREATE TEMPORARY TABLE IF NOT EXISTS ringshard_stage (
    LIKE public.users,
    record bigint GENERATED ALWAYS AS IDENTITY
) ON COMMIT DELETE ROWS
