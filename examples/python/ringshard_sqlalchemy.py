"""Sessions of SQLAlchemy on the shard that owns a key. docs/routing.md has the rules. Needs SQLAlchemy 2 and ringshard_client.py."""

import psycopg
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

from ringshard_client import Cluster

PROOF = text("SELECT ringshard.require_owner(:key, :epoch)")


class Engines(Cluster):
    """The shards of a cluster, with an Engine for each. `work` gets a Session in a transaction, and does not commit it."""

    def open(self, url):
        return create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(url, **self.options))

    def attempt(self, url, key, work):
        with Session(self.pool(url), expire_on_commit=False) as session, session.begin():
            session.execute(PROOF, {"key": key, "epoch": self.epoch})
            return work(session)

    def get(self, key, entity, *parts):
        """The row of a mapped class by its primary key, which is the key or begins with it."""
        return self.run(key, lambda session: session.get(entity, (key, *parts)))

    def close(self):
        for engine in self.pools.values():
            engine.dispose()
