-- What a change of rows of `users` would set off besides the change: foreign keys, triggers and rules of the user's own. A
-- move, a purge or a repair is no change that a user made, so none of them may fire. init-shards replaces the function each
-- time, as those of write_user.sql.
--
-- `operations`: the sum of 4 for INSERT, 8 for DELETE and 16 for UPDATE, as in pg_trigger.tgtype. Returns a description of
-- each. First it suppresses for the transaction what this role may suppress: session_replication_role disables all triggers
-- and rules but those that are ENABLE ALWAYS or REPLICA. (Before Postgres 15 only a superuser may set it.) A foreign key is
-- returned even then: without its action, rows that refer to a deleted row would be left dangling.
--
-- Locks the table, so that nobody adds one before the end of the transaction.
CREATE OR REPLACE FUNCTION ringshard.side_effects(operations integer) RETURNS SETOF text
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    firing "char"[];
BEGIN
    LOCK TABLE public.users IN ROW EXCLUSIVE MODE;
    IF pg_catalog.current_setting('session_replication_role') <> 'replica' THEN
        BEGIN
            PERFORM pg_catalog.set_config('session_replication_role', 'replica', true);
        EXCEPTION WHEN insufficient_privilege THEN
            NULL;
        END;
    END IF;
    firing := CASE pg_catalog.current_setting('session_replication_role')
        WHEN 'replica' THEN '{A,R}' ELSE '{A,O}' END;
    RETURN QUERY
        SELECT pg_catalog.format('foreign key `%s` of table %s', conname, conrelid::regclass)
        FROM pg_catalog.pg_constraint
        WHERE contype = 'f' AND confrelid = 'public.users'::regclass AND operations & 8 <> 0
        UNION ALL
        SELECT pg_catalog.format('foreign key `%s` to table %s', conname, confrelid::regclass)
        FROM pg_catalog.pg_constraint
        WHERE contype = 'f' AND conrelid = 'public.users'::regclass AND confrelid <> conrelid AND operations & 4 <> 0
        UNION ALL
        SELECT pg_catalog.format('trigger `%s`', t.tgname)
        FROM pg_catalog.pg_trigger AS t
        JOIN pg_catalog.pg_proc AS p ON p.oid = t.tgfoid
        WHERE t.tgrelid = 'public.users'::regclass AND NOT t.tgisinternal
          AND p.pronamespace <> 'ringshard'::regnamespace
          AND t.tgtype & operations <> 0 AND t.tgenabled = ANY (firing)
        UNION ALL
        SELECT pg_catalog.format('rule `%s`', rulename)
        FROM pg_catalog.pg_rewrite
        WHERE ev_class = 'public.users'::regclass AND ev_enabled = ANY (firing)
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
        RAISE EXCEPTION 'the rows of `users` cannot be moved or repaired without a side effect: %', effects
            USING ERRCODE = 'RS006';
    END IF;
END $$;
