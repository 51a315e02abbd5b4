-- One row if no change is under way in epoch $1. The lock prevents a change, and so a fence or a hand-over, until the
-- commit. It is written to the log, so the commit waits for the disk, and with it for everything committed before.
SELECT FROM ringshard.meta WHERE epoch = $1 AND status = 'done' FOR SHARE
