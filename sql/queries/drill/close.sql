DO $close$
BEGIN
    EXECUTE pg_catalog.format('ALTER DATABASE %I ALLOW_CONNECTIONS false',
                              pg_catalog.current_setting('ringshard.drill'));
END
$close$
