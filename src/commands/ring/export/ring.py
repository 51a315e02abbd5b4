"""Which shard of a ringshard cluster owns a key: the ring of epoch @EPOCH@.

Written by `ringshard ring export --format python`; write it again after each change of the ring. docs/routing.md says
how a program notices that its ring is old: the shard itself refuses a key that it does not own.
"""

import bisect
import hashlib
import uuid

CLUSTER = "@CLUSTER@"
EPOCH = @EPOCH@

# The name and the URL of each shard, without a password, by its number.
SHARDS = {
@SHARDS@}

# The last position of each range, in hexadecimal digits, and the number of its owner.
LAST = [
@LAST@]
OWNER = [
@OWNER@]


def shard_number(key):
    """The number of the shard that owns a key: an int, a uuid.UUID, or a str as Postgres prints it."""
    if isinstance(key, bool) or not isinstance(key, (int, str, uuid.UUID)):
        raise TypeError(f"{key!r} is no sharding key")
    position = hashlib.md5(str(key).encode(), usedforsecurity=False).hexdigest()
    return OWNER[bisect.bisect_left(LAST, position)]


def route(key):
    """The name and the URL of that shard."""
    return SHARDS[shard_number(key)]
