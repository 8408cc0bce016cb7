"""An audit looks: it makes nothing in an empty store, and a user that may only read suffices."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from router.errors import StoreError
from router.ledger import ALL
from router.ledger.accounts import Account, Accounts
from router.ledger.databases import open_shared, open_to_look
from router.ledger.window import Window

TREE = Accounts([Account(ALL, 1000, Window("rolling", 600.0), within="")])


def tables(address: str) -> list[str]:
    with psycopg.connect(address) as connection:
        query = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        return sorted(name for (name,) in connection.execute(query).fetchall())


@pytest.mark.postgres
def test_nothing_is_made_in_an_empty_database(postgres_address):
    store = open_to_look(postgres_address, Path())
    with pytest.raises(StoreError, match="it has no accounts; no service has used it yet"):
        store.look()
    store.close()
    assert tables(postgres_address) == []


@pytest.mark.postgres
def test_a_user_of_the_database_who_may_only_read_may_audit(postgres_address):
    store = open_shared(postgres_address, Path(), lambda: 0.0)
    store.register("r1", TREE)
    store.close()
    with psycopg.connect(postgres_address, autocommit=True) as connection:
        connection.execute("CREATE ROLE auditor LOGIN")
        connection.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO auditor")
    parts = urlsplit(postgres_address)
    host = parts.netloc.rpartition("@")[2]
    looking = open_to_look(parts._replace(netloc=f"auditor@{host}").geturl(), Path())
    try:
        assert list(looking.look()[0]) == [ALL]
    finally:
        looking.close()


def test_an_empty_file_stays_empty(tmp_path):
    file = tmp_path / "budgets.db"
    file.touch()
    store = open_to_look("budgets.db", tmp_path)
    with pytest.raises(StoreError, match="it has no accounts; no service has used it yet"):
        store.look()
    store.close()
    assert [path.name for path in tmp_path.iterdir()] == ["budgets.db"]
    assert file.stat().st_size == 0


def test_a_file_is_read_while_a_service_writes_it_and_cannot_be_written(tmp_path):
    serving = open_shared("budgets.db", tmp_path, lambda: 0.0)
    serving.register("r1", TREE)
    looking = open_to_look("budgets.db", tmp_path)
    assert list(looking.look()[0]) == [ALL]
    with pytest.raises(StoreError, match="readonly"):
        looking.register("r2", TREE)
    serving.close()
    looking.close()
    with closing(sqlite3.connect(tmp_path / "budgets.db")) as connection:
        assert connection.execute("SELECT count(*) FROM budget_accounts").fetchone() == (1,)
