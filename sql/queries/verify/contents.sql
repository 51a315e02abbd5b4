-- What these users have here.
SELECT user_id, name, region, email FROM public.users WHERE user_id = ANY ($1)
