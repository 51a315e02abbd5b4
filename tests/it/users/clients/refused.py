"""Asks a shard for a key that it does not own, as if the ring were old: the answer has to be an error, whatever the statement is."""

import sys

import psycopg

from ringshard_client import Cluster

urls = sys.argv[1:3]
cluster = Cluster(urls[0], patience=0)
right = cluster.owner(1)
wrong = next(url for url in cluster.urls if url != right)
select = "SELECT name FROM users WHERE user_id = %s"
for work in (
    lambda shard: shard.execute(select, [1]).fetchall(),
    lambda shard: shard.execute(select, [1]).rowcount,
    lambda shard: shard.execute("SELECT 1").fetchall(),
    lambda shard: "no statement",
):
    try:
        answer = cluster.attempt(wrong, 1, work)
        raise SystemExit(f"an answer without a proof: {answer!r}")
    except psycopg.Error as error:
        assert error.sqlstate == "RS001", error
    assert cluster.attempt(right, 1, work) is not None
try:
    raise SystemExit(f"an answer without a proof: {cluster.attempt_get(wrong, 1, select, [1])!r}")
except psycopg.Error as error:
    assert error.sqlstate == "RS001", error
# The refusal leads to the owner.
cluster.owner, cluster.patience = lambda key: wrong, 10
assert len(cluster.run(1, lambda shard: shard.execute(select, [1]).fetchall())) == 1
assert len(cluster.get(1, select, [1])) == 1
# The next transaction is one.
assert cluster.run(1, lambda shard: shard.autocommit) is False
cluster.close()
