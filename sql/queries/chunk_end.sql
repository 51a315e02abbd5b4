-- The end of a chunk of $3 + 1 rows from the beginning of the range $1 to $2; no row if the range has at most $3 rows.
SELECT pg_catalog.md5(user_id::text)::uuid FROM public.users
WHERE pg_catalog.md5(user_id::text)::uuid BETWEEN $1 AND $2
ORDER BY pg_catalog.md5(user_id::text)::uuid OFFSET $3 LIMIT 1
