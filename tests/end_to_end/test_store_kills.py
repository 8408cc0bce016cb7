"""Real processes, killed with kill -9: what was acknowledged is there afterwards, counted."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from pathlib import Path

import pytest

from router.client import ApportionError, Client
from router.decisions.postgres import Postgres
from router.decisions.read_only import open_read_only
from router.errors import StoreError
from training.store_bench.made_rows import Traffic
from training.store_bench.outcome_stream import reports, serving
from training.store_bench.postgres_server import postgres_server


@pytest.fixture
def own_server():
    """A PostgreSQL server that this test may kill."""
    folder = Path(tempfile.mkdtemp(prefix=f"killed-{os.getpid()}-"))
    with postgres_server(folder) as server:
        yield server
    shutil.rmtree(folder, ignore_errors=True)


def keys_in(store: str | Path) -> list[str]:
    with open_read_only(store) as look:
        return [outcome.key for _, _, outcome in look.numbered_outcomes(0, look.ends.outcomes)]


async def keep_reporting(address: str, traffic: Traffic, acknowledged: list[str]) -> None:
    """Report in streams of 200, each until it is acknowledged; `acknowledged` grows by the keys."""
    first = 0
    async with Client(address, timeout_s=20.0, retries=0) as client:
        while True:
            made = reports(traffic, first, 200)
            try:
                reply = await client.report_many(made)
            except ApportionError:
                await asyncio.sleep(0.05)  # the same once more: keys are taken once
                continue
            if reply.committed + reply.duplicates == len(made):
                acknowledged += [report.key for report in made]
            first += len(made)


async def reported(address: str, kill, more: int) -> list[str]:
    """Keys that were acknowledged: 2,000 and then, after `kill` was called in the midst of others, `more`."""
    acknowledged: list[str] = []
    told = [asyncio.create_task(keep_reporting(address, Traffic(seed=at), acknowledged)) for at in range(3)]
    while len(acknowledged) < 2000:  # noqa: ASYNC110 (another task's list)
        await asyncio.sleep(0.005)
    await asyncio.to_thread(kill)
    wanted = len(acknowledged) + more
    while len(acknowledged) < wanted:  # noqa: ASYNC110 (the same)
        await asyncio.sleep(0.005)
    for task in told:
        task.cancel()
    await asyncio.gather(*told, return_exceptions=True)
    return acknowledged


def test_what_a_service_acknowledged_survives_its_kill_on_sqlite(tmp_path):
    with serving(tmp_path) as (process, address):
        acknowledged = asyncio.run(reported(address, lambda: process.send_signal(signal.SIGKILL), 0))
        process.wait()
    found = keys_in(tmp_path / "rows.db")
    assert len(acknowledged) >= 2000
    assert set(acknowledged) <= set(found)
    assert len(found) == len(set(found))


@pytest.mark.postgres
def test_what_was_acknowledged_survives_the_kill_of_postgres_and_of_the_service(tmp_path, own_server):
    store = own_server.address("killed")

    def kill_and_start() -> None:
        own_server.kill()
        own_server.start_again()

    with serving(tmp_path, store) as (process, address):
        acknowledged = asyncio.run(reported(address, kill_and_start, 2000))
        process.send_signal(signal.SIGKILL)
        process.wait()
    found = keys_in(store)
    assert len(acknowledged) >= 4000
    assert set(acknowledged) <= set(found)
    assert len(found) == len(set(found))


@pytest.mark.postgres
async def test_decisions_made_while_postgres_is_dead_are_there_once_afterwards(tmp_path, own_server):
    address, traffic = own_server.address("spooled"), Traffic()
    store = Postgres.open(address, tmp_path / "aside", retry_s=0.1)
    for n in range(100):
        store.record(traffic.decision(n))
    await store.report(())
    await asyncio.to_thread(own_server.kill)
    for n in range(100, 700):
        store.record(traffic.decision(n))
    with pytest.raises(StoreError, match="not committed"):
        await store.report([traffic.told(0, value=True)])
    await asyncio.to_thread(own_server.start_again)
    while store.health.away or store.health.in_spool:  # noqa: ASYNC110 (another thread's)
        await asyncio.sleep(0.02)
    health = store.health
    await store.close()
    assert health.spooled > 0
    assert (health.dropped, health.lost) == (0, 0)
    with open_read_only(address) as look:
        found = [row.decision_id for row in look.decisions(0.0, 1e12) if row is not None]
    assert found == [traffic.decision_id(n) for n in range(700)]
