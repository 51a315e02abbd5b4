-- What a statement on indexes that was interrupted may have left: quoted names of invalid indexes, and who still builds each, if
-- somebody does. $1: the name of an index, as written; NULL for those that REINDEX CONCURRENTLY leaves. $2: its table, as written.
SELECT i.indexrelid::regclass::text AS name,
       (SELECT pg_catalog.min(pid) FROM pg_catalog.pg_stat_progress_create_index AS build
        WHERE build.index_relid = i.indexrelid AND build.datid = (SELECT oid FROM pg_catalog.pg_database
                                                                  WHERE datname = pg_catalog.current_database())) AS builder
FROM pg_catalog.pg_index AS i
JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE NOT i.indisvalid AND c.relkind = 'i'
  AND CASE WHEN $1::text IS NULL THEN c.relname ~ '_cc(new|old)[0-9]*$' AND n.nspname !~ '^pg_'
           -- A name is cut where Postgres cuts it.
           ELSE c.relname = (pg_catalog.parse_ident($1))[1]::name AND i.indrelid = pg_catalog.to_regclass($2) END
ORDER BY 1
