-- The clauses of ALTER TABLE that make the plain table of a new shard accept what `users` accepts here.
SELECT pg_catalog.format('ALTER COLUMN %I SET NOT NULL', attname) AS clause
FROM pg_catalog.pg_attribute
WHERE attrelid = 'public.users'::regclass AND attnum > 0 AND NOT attisdropped AND attnotnull AND attname <> 'user_id'
UNION ALL
SELECT pg_catalog.format('ALTER COLUMN %I TYPE %s COLLATE %s', a.attname,
                         pg_catalog.format_type(a.atttypid, a.atttypmod), a.attcollation::regcollation)
FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
WHERE a.attrelid = 'public.users'::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attcollation <> t.typcollation
UNION ALL
SELECT pg_catalog.format('ADD CONSTRAINT %I %s', conname, pg_catalog.pg_get_constraintdef(oid))
FROM pg_catalog.pg_constraint WHERE conrelid = 'public.users'::regclass AND contype = 'c'
