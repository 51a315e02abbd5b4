-- The sharded tables with their keys, if the chunk is fenced exactly like this; else no row.
SELECT sharded.name, pg_catalog.quote_ident(sharded.key_column) AS key_column
FROM ringshard.sharded_tables() AS sharded
WHERE EXISTS (SELECT FROM ringshard.arc
              WHERE last = $3 AND first = $2 AND state = 'fenced' AND epoch = $1 AND transfer_to = $4)
