-- The rows of these users ($1, an array of ids).
SELECT user_id, name, region, email FROM public.users WHERE user_id = ANY ($1)
