"""Prints the number of the shard of each line of `keys`."""

import ring

for line in open("keys", encoding="utf-8"):
    print(ring.shard_number(line[:-1]))
