"""Writes a user and reads ten through an example client, again and again, until standard input ends and it has read often enough.
Each answer has to be what was last acknowledged. Prints how often it has read and written."""

import sys
import threading


def run(make, read, write, get=None):
    url, ids, least = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    is_over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), is_over.set()), daemon=True).start()
    # Behind a pooler a prepared statement may be that of another client.
    cluster = make(url, prepare_threshold=None) if "pooled" in sys.argv else make(url)
    names = {user: cluster.run(user, lambda shard: read(shard, user))[0][0] for user in range(1, ids + 1)}
    reads = writes = 0
    while not is_over.is_set() or reads < least or writes < ids:
        user, name = 1 + writes % ids, f"name {writes}"
        written = cluster.run(user, lambda shard: write(shard, user, name))
        assert written == [(name,)], (user, written)
        names[user], writes = name, writes + 1
        for step in range(10):
            other = 1 + (user + step * 7) % ids
            found = get(cluster, other) if get and step % 2 else cluster.run(other, lambda shard: read(shard, other))
            assert found == [(names[other],)], (other, found, names[other])
            reads += 1
    for user, name in names.items():
        assert cluster.run(user, lambda shard: read(shard, user)) == [(name,)], user
    print(reads, writes)
    cluster.close()


if __name__ == "__main__":
    from ringshard_client import Cluster

    run(
        Cluster,
        lambda shard, user: shard.execute("SELECT name FROM users WHERE user_id = %s", [user]).fetchall(),
        lambda shard, user, name: shard.execute(
            "UPDATE users SET name = %s WHERE user_id = %s RETURNING name", [name, user]
        ).fetchall(),
        lambda cluster, user: cluster.get(user, "SELECT name FROM users WHERE user_id = %s", [user]),
    )
