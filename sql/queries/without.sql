 AND NOT EXISTS (
    SELECT FROM ROWS FROM (
        pg_catalog.unnest(pg_catalog.string_to_array(pg_catalog.current_setting('ringshard.without_first'), ',')::uuid[]),
        pg_catalog.unnest(pg_catalog.string_to_array(pg_catalog.current_setting('ringshard.without_last'), ',')::uuid[])
    ) AS without (first, last)
    WHERE pg_catalog.md5(users.user_id::text)::uuid BETWEEN without.first AND without.last
)
