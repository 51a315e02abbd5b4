-- A row if nothing is under way in this epoch ($1). Locked, so that no change begins before the commit: nobody can
-- fence an arc or take one over until then. The lock is in the log of the server, so the commit waits for the disk
-- whatever else the transaction does, and with it for all that was committed before.
SELECT FROM ringshard.meta WHERE epoch = $1 AND status = 'done' FOR SHARE
