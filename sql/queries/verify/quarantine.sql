-- As purge.sql, but moves the deleted rows to the quarantine, with the reason $5.
WITH deleted AS (
    DELETE FROM public.users
    USING ROWS FROM (pg_catalog.unnest($1::bigint[]), pg_catalog.unnest($2::text[]),
                     pg_catalog.unnest($3::text[]), pg_catalog.unnest($4::text[])) AS given (user_id, name, region, email)
    WHERE users.user_id = given.user_id
      AND (users.name, users.region, users.email) IS NOT DISTINCT FROM (given.name, given.region, given.email)
    RETURNING users.user_id, users.name, users.region, users.email
)
INSERT INTO ringshard.quarantine (reason, user_id, name, region, email)
SELECT $5, user_id, name, region, email FROM deleted
RETURNING user_id
