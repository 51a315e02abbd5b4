-- Prepares a session that closes or opens the database $1: only lock_timeout, $2 ms, ends its statements, not even the
-- loss of its client. Older servers lack some of these settings.
SELECT pg_catalog.set_config('ringshard.drill', $1, false),
       (SELECT pg_catalog.count(pg_catalog.set_config(name, '0', false)) FROM pg_catalog.pg_settings
        WHERE name IN ('statement_timeout', 'transaction_timeout', 'idle_session_timeout',
                       'idle_in_transaction_session_timeout', 'client_connection_check_interval')),
       pg_catalog.set_config('lock_timeout', $2, false),
       pg_catalog.set_config('default_transaction_read_only', 'off', false),
       pg_catalog.pg_backend_pid()
