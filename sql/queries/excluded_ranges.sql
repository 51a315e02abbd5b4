 AND NOT EXISTS (
    SELECT FROM ROWS FROM (
        pg_catalog.unnest(pg_catalog.string_to_array(pg_catalog.current_setting('ringshard.excluded_first'), ',')::uuid[]),
        pg_catalog.unnest(pg_catalog.string_to_array(pg_catalog.current_setting('ringshard.excluded_last'), ',')::uuid[])
    ) AS excluded (first, last)
    WHERE pg_catalog.md5(users.user_id::text)::uuid BETWEEN excluded.first AND excluded.last
)
