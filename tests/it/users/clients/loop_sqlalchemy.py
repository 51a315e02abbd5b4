"""As loop.py, with sessions of SQLAlchemy and a mapped class."""

from sqlalchemy import BigInteger, String, select, update
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from loop import run
from ringshard_sqlalchemy import Engines


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"
    user_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    name: Mapped[str | None] = mapped_column(String(100))


def read(session, user):
    return [tuple(row) for row in session.execute(select(User.name).where(User.user_id == user))]


def write(session, user, name):
    statement = update(User).where(User.user_id == user).values(name=name).returning(User.name)
    return [tuple(row) for row in session.execute(statement)]


run(Engines, read, write, lambda cluster, user: [(cluster.get(user, User).name,)])
