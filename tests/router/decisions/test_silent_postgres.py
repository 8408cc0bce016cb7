"""A PostgreSQL server that takes connections and says nothing: whoever waits for it gives up and says so."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from router.decisions.postgres import Postgres
from router.errors import StoreError
from router.ledger.databases import open_shared
from training.store_bench.made_rows import Traffic
from training.store_bench.postgres_server import PostgresServer, postgres_server

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(120)]


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    """One that this test may stop."""
    folder = Path(tempfile.mkdtemp(prefix="silent-"))
    with postgres_server(folder) as server:
        yield server
    shutil.rmtree(folder, ignore_errors=True)


def test_a_statement_is_given_up_and_its_connection_closed(own_server):
    import psycopg

    from router.connections.postgres_connection import connect

    address = own_server.address("given_up")
    connection = connect(address, "", patience_s=0.3)
    assert connection.execute("SELECT 1").fetchone() == (1,)
    family = own_server.pause()
    try:
        with pytest.raises(psycopg.OperationalError, match=r"said nothing for 0\.3 s"):
            connection.execute("SELECT 1")
        assert connection.closed
        with pytest.raises(psycopg.OperationalError, match="timeout"):
            connect(address, "")
    finally:
        own_server.go_on(family)
    with connect(address, "") as again:
        assert again.execute("SELECT 2").fetchone() == (2,)


def test_the_store_of_budgets_says_that_it_is_away(own_server, tmp_path):
    store = open_shared(own_server.address("budgets"), tmp_path, lambda: 0.0)
    store.changes()
    family = own_server.pause()
    try:
        with pytest.raises(StoreError, match="said nothing"):
            store.changes()
    finally:
        own_server.go_on(family)
    store.changes()
    store.close()


async def test_reporters_are_told_and_rows_wait_aside_until_it_speaks_again(own_server, tmp_path):
    traffic = Traffic()
    store = Postgres.open(own_server.address("rows"), tmp_path / "aside", retry_s=0.1)
    store.record(traffic.decision(0))
    await store.report(())
    family = own_server.pause()
    try:
        store.record(traffic.decision(1))
        with pytest.raises(StoreError, match="said nothing"):
            await store.report([traffic.told(0, value=True)])
        while not store.health.in_spool:  # noqa: ASYNC110 (another thread's)
            await asyncio.sleep(0.01)
        assert store.health.dropped == 0
    finally:
        own_server.go_on(family)
    while store.health.away:  # noqa: ASYNC110 (the same)
        await asyncio.sleep(0.01)
    await store.report([traffic.told(0, value=True)])
    assert await store.decision(traffic.decision_id(1)) is not None
    assert [one.key for one in await store.outcomes(traffic.decision_id(0))] == [
        traffic.told(0, value=True).key
    ]
    await store.close()
