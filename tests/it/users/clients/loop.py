"""Reads and writes users through the example client until standard input ends. Prints how many of each."""

import sys
import threading

from ringshard_client import Cluster

url, ids = sys.argv[1], int(sys.argv[2])
is_over = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), is_over.set()), daemon=True).start()
cluster = Cluster(url)
reads = writes = 0
while not is_over.is_set() or reads < ids:
    user, name = 1 + reads % ids, f"name {reads}"
    update = "UPDATE users SET name = %s WHERE user_id = %s RETURNING name"
    written = cluster.run(user, lambda shard: shard.execute(update, [name, user]).fetchall())
    found = cluster.run(user, lambda shard: shard.execute("SELECT name FROM users WHERE user_id = %s", [user]).fetchall())
    assert written == found == [(name,)], (user, written, found)
    reads, writes = reads + 1, writes + 1
print(reads, writes)
cluster.close()
