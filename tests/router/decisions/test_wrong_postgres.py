"""A database that is not what was meant: another program's, an empty one, none at all."""

from __future__ import annotations

import psycopg
import pytest

from router.connections.postgres_connection import connect
from router.decisions.erase import erase_tenant
from router.decisions.postgres import Postgres
from router.decisions.postgres_database import PostgresDatabase
from router.errors import StoreError
from router.ledger.databases import database

NOBODY = "postgresql://me:secret@127.0.0.1:1/db?sslmode=disable"  # nothing listens on port 1


def tables(address: str) -> list[str]:
    with psycopg.connect(address) as connection:
        query = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        return sorted(name for (name,) in connection.execute(query).fetchall())


@pytest.mark.postgres
@pytest.mark.parametrize("name", ["decisions", "names"])
def test_a_table_of_another_program_is_refused_and_left_as_it_is(postgres_address, tmp_path, name):
    with psycopg.connect(postgres_address) as connection:
        connection.execute(f"CREATE TABLE {name} (what TEXT)")
    with pytest.raises(StoreError, match=f"its table '{name}' is another program's"):
        Postgres.open(postgres_address, tmp_path / "aside")
    assert tables(postgres_address) == [name]


@pytest.mark.postgres
def test_nothing_is_deleted_from_a_database_that_holds_no_store_and_none_is_made(postgres_address):
    with pytest.raises(StoreError, match="holds no decision store of apportion"):
        erase_tenant(postgres_address, "search", 0.0)
    assert tables(postgres_address) == []


@pytest.mark.postgres
def test_options_of_the_address_hold_so_that_the_tables_may_have_a_schema_of_their_own(postgres_address):
    with psycopg.connect(postgres_address) as connection:
        connection.execute("CREATE SCHEMA mine")
    joined = "&" if "?" in postgres_address else "?"
    PostgresDatabase(f"{postgres_address}{joined}options=-csearch_path%3Dmine").connect().close()
    assert tables(postgres_address) == []


def test_a_server_that_is_not_there_is_told_on_one_line_without_its_password():
    with pytest.raises(psycopg.OperationalError, match="Connection refused") as refused:
        PostgresDatabase(NOBODY).connect()
    assert "\n" not in str(refused.value)
    assert PostgresDatabase(NOBODY).name == "postgresql://127.0.0.1:1/db"


@pytest.mark.postgres
def test_what_the_server_refuses_is_told_on_one_line_without_our_statement(postgres_address):
    with connect(postgres_address, "") as connection:
        with pytest.raises(psycopg.errors.UndefinedTable) as refused:
            connection.execute("SELECT 1 FROM nowhere")
        assert str(refused.value) == 'relation "nowhere" does not exist'
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_the_name_of_a_store_of_budgets_holds_no_password(tmp_path):
    assert database(NOBODY, tmp_path, lambda: 0.0)[1] == "postgresql://127.0.0.1:1/db"
