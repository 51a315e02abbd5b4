"""Runs the statements of a program on the shard that owns a key. docs/routing.md has the rules. Needs psycopg 3 with its pool."""

import bisect
import hashlib
import json
import threading
import time
import uuid

import psycopg
from psycopg_pool import ConnectionPool


class Cluster:
    """The shards of a cluster; `url` is that of any of them. The URLs have no password: set PGPASSWORD or a password file.

    `options` are for each connection, such as `prepare_threshold=None` behind PgBouncer in transaction mode.
    """

    def __init__(self, url, patience=10.0, **options):
        self.patience, self.known, self.pools, self.lock = patience, [url], {}, threading.Lock()
        self.options = {"connect_timeout": 5, **options}
        self.load()

    def load(self):
        """Reads the ring from any shard that answers. An old ring costs detours, and never a wrong answer."""
        for url in self.known:
            try:
                with psycopg.connect(url, **self.options) as shard:
                    rows = shard.execute("SELECT replace(last::text, '-', ''), url, epoch FROM ringshard.ranges()").fetchall()
            except psycopg.OperationalError:
                continue
            self.last, self.urls, self.epoch = [row[0] for row in rows], [row[1] for row in rows], rows[0][2]
            self.known = [url, *(set(self.urls) - {url})]
            self.loaded = time.monotonic()
            return
        raise ConnectionError("no shard answers")

    def owner(self, key):
        """The URL of the shard that owns a key, by the ring. The key is an int, a uuid.UUID, or a str as Postgres prints it."""
        if isinstance(key, bool) or not isinstance(key, (int, str, uuid.UUID)):
            raise TypeError(f"{key!r} is no sharding key")
        position = hashlib.md5(str(key).encode(), usedforsecurity=False).hexdigest()
        return self.urls[bisect.bisect_left(self.last, position)]

    def pool(self, url):
        """The connections to a shard."""
        if not url:
            raise ValueError("the shard has no URL")
        with self.lock:
            if url not in self.pools:
                self.pools[url] = self.open(url)
            return self.pools[url]

    def open(self, url):
        return ConnectionPool(url, kwargs=self.options, open=True, timeout=5)

    def attempt(self, url, key, work):
        with self.pool(url).connection() as connection:
            connection.execute("SELECT ringshard.require_owner(%s, %s)", [key, self.epoch])
            return work(connection)

    def run(self, key, work):
        """Calls `work` with a connection to the owner of a key, in a transaction, and returns what it returns.

        A refusal rolls all back, and `work` is called again: it changes nothing but the database.
        """
        return self.routed(key, lambda url: self.attempt(url, key, work))

    def get(self, key, query, parameters=()):
        """The rows of one query about a key, in one round trip: both statements of a pipeline are one transaction (libpq 14)."""
        return self.routed(key, lambda url: self.attempt_get(url, key, query, parameters))

    def attempt_get(self, url, key, query, parameters):
        with self.pool(url).connection() as connection:
            connection.autocommit = True
            try:
                with connection.pipeline():  # Its end raises the error of a failed proof.
                    connection.execute("SELECT ringshard.require_owner(%s, %s)", [key, self.epoch])
                    cursor = connection.execute(query, parameters)
                rows = cursor.fetchall()
                connection.autocommit = False
                return rows
            except psycopg.Error:
                connection.close()  # What followed the error was not prepared, and the driver believes that it was.
                raise

    def routed(self, key, attempt):
        url, deadline = self.owner(key), time.monotonic() + self.patience
        while True:
            try:
                return attempt(url)
            except Exception as error:
                cause = getattr(error, "orig", error)  # SQLAlchemy wraps the driver's error.
                sqlstate = getattr(cause, "sqlstate", None)
                if sqlstate not in ("RS001", "RS002", "RS014") or time.monotonic() > deadline:
                    raise
                before = url
                if sqlstate == "RS001":
                    detail = json.loads(cause.diag.message_detail)
                    if "refused_rows" in detail:  # `work` wrote a row of another key.
                        raise
                    url = detail["url"]
                if sqlstate != "RS002" and time.monotonic() > self.loaded + 1:
                    self.load()
                if url == before:
                    time.sleep(0.01)
                    url = self.owner(key) if sqlstate != "RS002" else url

    def close(self):
        """Closes all connections."""
        for pool in self.pools.values():
            pool.close()
