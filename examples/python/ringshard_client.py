"""Runs the statements of a program on the shard that owns a key. docs/routing.md has the rules. Needs psycopg 3 with its pool."""

import bisect
import hashlib
import json
import time

import psycopg
from psycopg_pool import ConnectionPool


class Cluster:
    """The shards of a cluster; `url` is that of any of them. The URLs have no password: set PGPASSWORD or a password file."""

    def __init__(self, url, tries=500):
        self.entry, self.tries, self.pools, self.ranges = url, tries, {}, ([], [])
        self.load()

    def load(self):
        """Reads the ring. An old one costs detours, and never a wrong answer."""
        with psycopg.connect(self.entry) as shard:
            rows = shard.execute("SELECT replace(last::text, '-', ''), url FROM ringshard.ranges()").fetchall()
        self.ranges = [row[0] for row in rows], [row[1] for row in rows]

    def owner(self, key):
        """The URL of the shard that owns a key, by the ring."""
        last, urls = self.ranges
        return urls[bisect.bisect_left(last, hashlib.md5(str(key).encode(), usedforsecurity=False).hexdigest())]

    def pool(self, url):
        """The connections to a shard."""
        if url not in self.pools:
            self.pools[url] = ConnectionPool(url, open=True)
        return self.pools[url]

    def run(self, key, work):
        """Calls `work` with a connection to the owner of a key, in a transaction, and returns what it returns."""
        url = self.owner(key)
        for _ in range(self.tries):
            try:
                with self.pool(url).connection() as connection, connection.pipeline():
                    connection.execute("SELECT ringshard.require_owner(%s)", [key])
                    return work(connection)
            except psycopg.Error as error:
                if error.sqlstate == "RS001":
                    url = json.loads(error.diag.message_detail)["url"]
                    self.load()
                elif error.sqlstate == "RS002":
                    time.sleep(0.01)
                else:
                    raise
        raise TimeoutError(f"no shard took the key {key}")
