-- What a change of rows of the sharded tables would set off besides the change: foreign keys, triggers and rules of the user's
-- own. A move, a purge or a repair is no change that a user made, so none of them may fire. init-shards replaces the functions
-- each time, as those of write_user.sql.

-- Whether the rows of both sides of a foreign key always lie on one shard, and so move together: it leads from sharding key to
-- sharding key, or to a reference table. Then none of its actions finds a row.
CREATE OR REPLACE FUNCTION ringshard.is_colocated(foreign_key pg_catalog.pg_constraint) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
DECLARE
    referring CONSTANT regclass := ringshard.table_of(foreign_key.conrelid);
    referred CONSTANT regclass := ringshard.table_of(foreign_key.confrelid);
BEGIN
    RETURN EXISTS (
        SELECT FROM ROWS FROM (pg_catalog.unnest(foreign_key.conkey), pg_catalog.unnest(foreign_key.confkey)) AS pair (own, other)
        JOIN ringshard.sharded_tables() AS own ON own.relation = referring
        JOIN ringshard.sharded_tables() AS other ON other.relation = referred
        JOIN pg_catalog.pg_attribute AS a
             ON a.attrelid = foreign_key.conrelid AND a.attnum = pair.own AND a.attname = own.key_column
        JOIN pg_catalog.pg_attribute AS b
             ON b.attrelid = foreign_key.confrelid AND b.attnum = pair.other AND b.attname = other.key_column
    ) OR EXISTS (
        SELECT FROM ringshard.meta
        CROSS JOIN LATERAL pg_catalog.jsonb_array_elements(meta.topology -> 'tables') AS spec
        WHERE NOT spec ? 'key' AND pg_catalog.to_regclass(spec ->> 'name') = referred
          AND referring IN (SELECT own.relation FROM ringshard.sharded_tables() AS own)
    );
END $$;

-- What would fire for these `operations`: the sum of 4 for INSERT, 8 for DELETE and 16 for UPDATE, as in pg_trigger.tgtype.
-- Returns a description of each. First it suppresses for the transaction what this role may suppress: session_replication_role disables all triggers
-- and rules but those that are ENABLE ALWAYS or REPLICA. (Before Postgres 15 only a superuser may set it.) A foreign key is
-- returned even then: without its action, rows that refer to a deleted row would be left dangling.
--
-- Locks the tables, so that nobody adds one before the end of the transaction.
CREATE OR REPLACE FUNCTION ringshard.side_effects(operations integer) RETURNS SETOF text
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    relations CONSTANT regclass[] := (ringshard.tables_in_order()).relations;
    -- With their partitions.
    parts CONSTANT oid[] := ARRAY(SELECT sharded.part FROM ringshard.sharded_parts() AS sharded);
    firing "char"[];
    relation regclass;
BEGIN
    FOREACH relation IN ARRAY relations LOOP
        EXECUTE pg_catalog.format('LOCK TABLE %s IN ROW EXCLUSIVE MODE', relation);
    END LOOP;
    IF pg_catalog.current_setting('session_replication_role') <> 'replica' THEN
        BEGIN
            PERFORM pg_catalog.set_config('session_replication_role', 'replica', true);
        EXCEPTION WHEN insufficient_privilege THEN
            NULL;
        END;
    END IF;
    -- Rows of a cycle of tables, or of one that refers to itself, are checked when all are there.
    SET CONSTRAINTS ALL DEFERRED;
    firing := CASE pg_catalog.current_setting('session_replication_role')
        WHEN 'replica' THEN '{A,R}' ELSE '{A,O}' END;
    RETURN QUERY
        SELECT pg_catalog.format('foreign key `%s` of table %s', conname, conrelid::regclass)
        FROM pg_catalog.pg_constraint AS c
        WHERE contype = 'f' AND conparentid = 0 AND confrelid = ANY (parts) AND operations & 8 <> 0 AND NOT ringshard.is_colocated(c)
        UNION ALL
        SELECT pg_catalog.format('foreign key `%s` to table %s', conname, confrelid::regclass)
        FROM pg_catalog.pg_constraint AS c
        WHERE contype = 'f' AND conparentid = 0 AND conrelid = ANY (parts) AND operations & 4 <> 0
          AND ringshard.table_of(confrelid) <> ringshard.table_of(conrelid)
          AND NOT ringshard.is_colocated(c)
        UNION ALL
        -- Where its check cannot be suppressed, a row is stored after the one that it refers to: not possible in a cycle, unless
        -- the check waits for the commit.
        SELECT pg_catalog.format('foreign key `%s` of table %s, in a cycle of tables and not DEFERRABLE', conname, conrelid::regclass)
        FROM pg_catalog.pg_constraint AS c
        WHERE contype = 'f' AND conparentid = 0 AND operations & 4 <> 0 AND pg_catalog.current_setting('session_replication_role') <> 'replica'
          AND (NOT condeferrable OR confdeltype = 'r')
          AND pg_catalog.array_position(relations, ringshard.table_of(confrelid))
            > pg_catalog.array_position(relations, ringshard.table_of(conrelid))
        UNION ALL
        SELECT pg_catalog.format('trigger `%s` of table %s', t.tgname, t.tgrelid::regclass)
        FROM pg_catalog.pg_trigger AS t
        JOIN pg_catalog.pg_proc AS p ON p.oid = t.tgfoid
        WHERE t.tgrelid = ANY (parts) AND p.pronamespace <> 'ringshard'::regnamespace
          -- Of a partition only what fires for each row; before Postgres 15 a clone of its table's trigger is internal.
          AND (NOT t.tgisinternal OR t.tgparentid <> 0 AND t.tgconstraint = 0)
          AND (t.tgrelid = ANY (relations) OR t.tgtype & 1 <> 0)
          AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger AS cloned
                          WHERE cloned.oid = t.tgparentid AND cloned.tgenabled = ANY (firing))
          AND t.tgtype & operations <> 0 AND t.tgenabled = ANY (firing)
        UNION ALL
        SELECT pg_catalog.format('rule `%s` of table %s', rulename, ev_class::regclass)
        FROM pg_catalog.pg_rewrite
        WHERE ev_class = ANY (relations) AND ev_enabled = ANY (firing)
          AND operations & CASE ev_type WHEN '2' THEN 16 WHEN '3' THEN 4 WHEN '4' THEN 8 ELSE 0 END <> 0
        ORDER BY 1;
END $$;

-- Fails if these operations have side effects, and suppresses those that can be suppressed.
CREATE OR REPLACE FUNCTION ringshard.forbid_side_effects(operations integer) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    effects text;
BEGIN
    SELECT pg_catalog.string_agg(effect, ', ') INTO effects FROM ringshard.side_effects(operations) AS effect;
    IF effects IS NOT NULL THEN
        RAISE EXCEPTION 'rows cannot be moved or repaired without a side effect: %', effects
            USING ERRCODE = 'RS006';
    END IF;
END $$;
