"""Reads users through the client in Python, in turns: plainly, with a proof before it (`run`), and with both at once (`get`). Prints
the medians in microseconds. For benches/clients.rs."""

import statistics
import sys
import time

from ringshard_client import Cluster

cluster, reads, users, turns = Cluster(sys.argv[1]), *map(int, sys.argv[2:5])
QUERY = "SELECT name FROM users WHERE user_id = %s"


def plain(key):
    with cluster.pool(cluster.owner(key)).connection() as connection:
        return connection.execute(QUERY, [key]).fetchall()


def run(key):
    return cluster.run(key, lambda shard: shard.execute(QUERY, [key]).fetchall())


def get(key):
    return cluster.get(key, QUERY, [key])


def microseconds(read):
    begun = time.perf_counter()
    for at in range(reads):
        assert len(read(1 + at % users)) == 1
    return (time.perf_counter() - begun) / reads * 1e6


seen = {read: [] for read in (plain, run, get)}
for _ in range(turns):
    for read, times in seen.items():
        times.append(microseconds(read))
print(*(f"{statistics.median(times):.1f}" for times in seen.values()))
cluster.close()
