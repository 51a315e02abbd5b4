-- The table of the Python prototype. An existing one with the same columns is kept, with its rows.
CREATE TABLE IF NOT EXISTS public.users (
    user_id BIGINT PRIMARY KEY,
    name    VARCHAR(100),
    region  VARCHAR(50),
    email   VARCHAR(100)
);
