"""Deleting by tenant and by decision, and throwing away what is old, in every database."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest

from router.decisions.back_up import back_up
from router.decisions.erase import Erased, erase_decision, erase_tenant
from router.decisions.postgres import Postgres
from router.decisions.read_only import open_read_only
from router.decisions.rows import to_bytes
from router.decisions.spool import Spool
from router.decisions.sqlite import SQLite
from router.decisions.sqlite_database import RETIRED_AT_ONCE
from router.decisions.store import Store
from router.domain.decision import Decision, Outcome
from router.errors import StoreError, UnknownName
from training.store_bench.made_rows import Traffic

DAY_S = 86_400.0


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def address(request, tmp_path) -> str:
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres_address"))
    return str(tmp_path / "rows.db")


def opened(address: str, tmp_path, **pace: Any) -> Store:
    if "://" in address:
        return Postgres.open(address, tmp_path / "aside", **pace)
    return SQLite.open(address, **pace)


async def filled(
    address: str, tmp_path, rows: list[Decision], outcomes: Sequence[Outcome] = (), **pace: Any
) -> None:
    store = opened(address, tmp_path, **pace)
    for row in rows:
        store.record(row)
    await store.report(outcomes)
    await store.close()


def ids(address: str) -> list[str]:
    with open_read_only(address) as look:
        return [row.decision_id for row in look.decisions(0.0, 1e12) if row is not None]


def keys(address: str) -> list[str]:
    with open_read_only(address) as look:
        return [outcome.key for _, _, outcome in look.numbered_outcomes(0, look.ends.outcomes)]


@pytest.fixture
def traffic() -> Traffic:
    return Traffic()


async def test_a_tenants_rows_are_deleted_and_nobody_elses(address, tmp_path, traffic):
    rows = [traffic.decision(n) for n in range(2500)]
    outcomes = [traffic.told(n, value=True) for n in range(10)]
    await filled(address, tmp_path, rows, outcomes)
    assert erase_tenant(address, "tenant-1", 3e9) == Erased(500, 2)
    assert ids(address) == [row.decision_id for row in rows if row.tenant != "tenant-1"]
    assert keys(address) == [outcome.key for outcome in outcomes if outcome.tenant != "tenant-1"]


async def test_rows_that_a_tenant_makes_later_stay(address, tmp_path, traffic):
    rows = [traffic.decision(n) for n in (1, 6)]
    await filled(address, tmp_path, rows)
    assert erase_tenant(address, "tenant-1", rows[0].created_at + 0.1).decisions == 1
    assert ids(address) == [rows[1].decision_id]


async def test_a_decision_is_deleted_with_what_was_reported_about_it_and_its_request(
    address, tmp_path, traffic
):
    row, other = traffic.decision(0), traffic.decision(5)
    by_request = dataclasses.replace(
        traffic.told(0, value=True), key="r", decision_id="", request_id=row.request_id
    )
    theirs = dataclasses.replace(by_request, tenant="tenant-3")
    await filled(address, tmp_path, [row, other], [traffic.told(0, value=True), by_request, theirs])
    assert erase_decision(address, row.decision_id, 3e9) == Erased(1, 2)
    assert ids(address) == [other.decision_id]
    with pytest.raises(UnknownName, match="decision"):
        erase_decision(address, row.decision_id, 3e9)


async def test_a_decision_is_deleted_with_its_shadow_run(address, tmp_path, traffic):
    row, other = traffic.decision(0), traffic.decision(5)
    shadow = dataclasses.replace(row, decision_id=f"{row.decision_id}-shadow", request_id="", session_id="")
    await filled(address, tmp_path, [row, other, shadow])
    assert erase_decision(address, row.decision_id, 3e9) == Erased(2, 0)
    assert ids(address) == [other.decision_id]
    with open_read_only(address) as look:
        assert [name for _, name, _ in look.deletions(0)] == [row.decision_id, shadow.decision_id]


async def test_deleted_rows_do_not_come_back_out_of_a_spool(address, tmp_path, traffic):
    rows = [traffic.decision(n) for n in (0, 1, 2)]
    await filled(address, tmp_path, rows)
    erase_decision(address, rows[0].decision_id, 3e9)
    erase_tenant(address, "tenant-1", 3e9)
    spool = Spool(tmp_path / ("aside.0.spool" if "://" in address else "rows.db.spool"))
    spool.append([to_bytes(row) for row in rows])
    spool.close()
    await filled(address, tmp_path, [])
    assert ids(address) == [rows[2].decision_id]


async def test_rows_are_deleted_while_a_replica_writes(address, tmp_path, traffic):
    store = opened(address, tmp_path)
    for n in range(50):
        store.record(traffic.decision(n))
    await store.report(())
    assert erase_tenant(address, "tenant-1", 3e9).decisions == 10
    store.record(traffic.decision(50))
    await store.report(())
    assert store.health.away == ""
    await store.close()
    assert len(ids(address)) == 41


async def test_what_is_deleted_is_not_counted_as_lost(address, tmp_path, traffic):
    await filled(address, tmp_path, [traffic.decision(n) for n in range(20)])
    erase_tenant(address, "tenant-1", 3e9)
    store = opened(address, tmp_path)
    assert store.health.lost == 0
    await store.close()


async def test_old_rows_are_thrown_away_and_young_ones_stay(address, tmp_path, traffic):
    now = 1_790_000_000.0
    rows = [
        dataclasses.replace(traffic.decision(n), created_at=now - age * DAY_S)
        for n, age in enumerate((40.0, 32.0, 20.0, 0.0))
    ]
    await filled(address, tmp_path, rows, [traffic.told(0, value=True)], wall_s=lambda: now - 35 * DAY_S)
    store = opened(address, tmp_path, retention_s=30 * DAY_S, wall_s=lambda: now)
    await store.report([traffic.told(3, value=True)])  # throwing away goes on between batches
    writer = store._writer
    with writer._wake:
        writer._wake.wait_for(
            lambda: writer._retire_at > 0 and ids(address) == [row.decision_id for row in rows[2:]]
        )
    await store.close()
    assert keys(address) == [traffic.told(3, value=True).key]
    assert opened_lost(address, tmp_path) == 0


async def test_outcomes_that_came_while_the_clock_was_ahead_keep_no_older_ones_back(
    address, tmp_path, traffic
):
    now = 1_790_000_000.0
    ahead = [traffic.told(n, value=True) for n in range(2 * RETIRED_AT_ONCE + 10)]
    await filled(address, tmp_path, [], ahead, wall_s=lambda: now + 5000 * DAY_S)
    last = traffic.told(2 * RETIRED_AT_ONCE + 10, value=True)
    await filled(address, tmp_path, [], [last], wall_s=lambda: now - 35 * DAY_S)
    young = traffic.told(2 * RETIRED_AT_ONCE + 11, value=True)
    await filled(address, tmp_path, [], [young], wall_s=lambda: now)
    store = opened(address, tmp_path, retention_s=30 * DAY_S, wall_s=lambda: now)
    writer = store._writer
    with writer._wake:
        writer._wake.wait_for(lambda: len(keys(address)) == 1, timeout=20.0)
    await store.close()
    assert keys(address) == [young.key]


def opened_lost(address: str, tmp_path) -> int:
    store = opened(address, tmp_path)
    lost = store.health.lost
    with contextlib.suppress(StoreError):
        store._end()
    return lost


async def test_a_backup_is_a_store(tmp_path, traffic):
    path, copy = tmp_path / "rows.db", tmp_path / "copy.db"
    store = SQLite.open(path)
    for n in range(30):
        store.record(traffic.decision(n))
    await store.report(())
    assert back_up(path, copy) > 0
    await store.close()
    assert ids(str(copy)) == ids(str(path))
    with pytest.raises(StoreError, match="is there already"):
        back_up(path, copy)


async def test_numbers_of_deleted_rows_are_not_given_again(address, tmp_path, traffic):
    await filled(address, tmp_path, [traffic.decision(n) for n in range(3)])
    erase_decision(address, traffic.decision_id(2), 3e9)
    await filled(address, tmp_path, [traffic.decision(3)])
    with open_read_only(address) as look:
        assert [row.n for row in look.numbered_decisions(3, 99)] == [4]
