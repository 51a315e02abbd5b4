-- The indexes of `users`.
SELECT c.oid::regclass::text AS name, i.indisvalid AS is_valid, i.indisprimary AS is_primary,
       i.indpred IS NOT NULL AS is_partial,
       ARRAY(
           SELECT a.attname::text FROM unnest(i.indkey::smallint[]) WITH ORDINALITY AS k (number, ordinal)
           JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.number
           ORDER BY k.ordinal
       ) AS columns
FROM pg_catalog.pg_index AS i JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
WHERE i.indrelid = pg_catalog.to_regclass('public.users')
ORDER BY 1
