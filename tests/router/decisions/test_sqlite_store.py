"""What only a store on a disk has: one owner, commits, kills, a spool, lost rows that are counted."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from router.decisions.owner import Owner
from router.decisions.sqlite import SQLite
from router.domain.decision import Decision, Mode, Outcome
from router.errors import StoreError

DECISION = Decision(
    *(
        "d",
        "r",
        "replica",
        0,
        0.0,
        "",
        "",
        Mode.APPLY,
        "p",
        "",
        0.0,
        "plan",
        "digest",
        1.0,
        {},
        {},
        False,
        True,
    )
)
KILLED = Path(__file__).with_name("killed_store.py")


def decision(number: int, **changes) -> Decision:
    return dataclasses.replace(
        DECISION, decision_id=f"d{number}", sequence=number, created_at=float(number), **changes
    )


def outcome(key: str) -> Outcome:
    return Outcome(f"o{key}", "m", 1.0, "number", "d1", key=key)


def stored(path: Path) -> list[str]:
    """What another program sees in the file."""
    with sqlite3.connect(path) as connection:
        names = [name for (name,) in connection.execute("SELECT decision_id FROM decisions ORDER BY n")]
    connection.close()
    return names


async def until(store: SQLite, condition: Callable[[], bool]) -> None:
    """Look after every batch of the writer; the test's own time-out ends it."""

    def wait() -> None:
        with store._writer._wake:
            store._writer._wake.wait_for(condition)

    await asyncio.to_thread(wait)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "decisions.db"


@pytest.fixture
async def store(path):
    made = SQLite.open(path, busy_s=0.05, retry_s=0.05)
    yield made
    await made.close()


@pytest.fixture
def locked(path, store):
    """Another program holds the write lock until it is released."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    yield connection
    connection.close()


@pytest.mark.timeout(120)
def test_every_acknowledged_outcome_survives_kill_9(path):
    acknowledged: list[str] = []
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, str(KILLED), str(path)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        acknowledged += [process.stdout.readline().strip() for _ in range(40)]
        os.kill(process.pid, signal.SIGKILL)
        acknowledged += process.stdout.read().split()
        assert process.wait() == -signal.SIGKILL
        process.stdout.close()
    assert len(set(acknowledged)) == len(acknowledged) >= 120

    async def missing() -> list[str]:
        store = SQLite.open(path)
        try:
            return [name for name in acknowledged if len(await store.outcomes(name)) != 3]
        finally:
            await store.close()

    assert asyncio.run(missing()) == []


def test_rows_that_kill_9_took_are_counted_exactly(path):
    process = subprocess.Popen([sys.executable, str(KILLED), str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(20):
        process.stdout.readline()
    process.kill()
    process.wait()
    process.stdout.close()
    owner = Owner(path)
    ((first, last),) = owner.left().values()
    owner.close()
    store = SQLite.open(path)
    assert first == 0
    assert last >= 76
    assert store.health.lost == last + 1 - len(stored(path))
    asyncio.run(store.close())


def test_a_killed_process_leaves_a_file_that_opens(path):
    process = subprocess.Popen([sys.executable, str(KILLED), str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    with pytest.raises(StoreError, match=f"process {process.pid} has it open; one process owns one file"):
        SQLite.open(path)
    process.kill()
    process.wait()
    process.stdout.close()
    store = SQLite.open(path)
    row = asyncio.run(store.decision(f"d{process.pid}-0"))
    assert row is not None
    asyncio.run(store.close())


async def test_two_stores_of_one_process_cannot_have_one_file_either(path, store):
    with pytest.raises(StoreError, match=f"process {os.getpid()} has it open"):
        SQLite.open(path)


async def test_rows_are_committed_without_anybody_waiting_for_them(path, store):
    store.record(decision(1))
    await until(store, lambda: stored(path) == ["d1"])
    assert store.health.committed == 1


async def test_a_recorded_row_is_seen_before_it_is_committed(store, locked):
    store.record(decision(1))
    assert await store.decision("d1") == decision(1)


async def test_recording_never_waits_for_the_disk(path, store, locked):
    for number in range(2000):
        store.record(decision(number))
    assert stored(path) == []  # all were taken, and the lock is still held


async def test_while_the_database_is_locked_rows_are_spooled_and_come_back_once(path, store, locked):
    for number in range(700):
        store.record(decision(number))
    await until(store, lambda: store.health.in_spool == 700)
    assert "locked" in store.health.away
    assert await store.decision("d5") == decision(5)
    locked.execute("ROLLBACK")
    await until(store, lambda: not store.health.away)
    assert stored(path) == [f"d{number}" for number in range(700)]
    health = store.health
    assert (health.spooled, health.in_spool, health.dropped, health.lost) == (700, 0, 0, 0)
    assert health.queued == 0  # what came back from the spool waits no more


async def test_while_the_database_is_locked_outcomes_are_not_acknowledged(store, locked):
    with pytest.raises(StoreError, match="not committed: database is locked"):
        await store.report([outcome("a")])
    locked.execute("ROLLBACK")
    assert await store.report([outcome("a")]) == (True,)


async def test_what_a_process_spooled_is_taken_back_by_the_next_exactly_once(path):
    store = SQLite.open(path, busy_s=0.01, retry_s=60.0)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    for number in range(1200):  # more than a batch
        store.record(decision(number))
    await store.close()
    connection.close()
    spool = path.with_name(path.name + ".spool")
    kept = spool.read_bytes()
    for _ in range(2):  # the second time as if the process had died between the commit and the clearing
        spool.write_bytes(kept)
        store = SQLite.open(path)
        assert (store.health.lost, store.health.in_spool) == (0, 0)
        await store.close()
        assert sorted(stored(path)) == sorted(f"d{number}" for number in range(1200))
    assert not spool.exists()


async def test_a_full_database_spools_and_goes_on_when_there_is_room(path, store):
    (pages,) = store._writer._batches._connection.execute("PRAGMA page_count").fetchone()
    store._writer._batches._connection.execute(f"PRAGMA max_page_count = {pages}")
    store.record(decision(1, query_text="x" * 100_000))
    await until(store, lambda: store.health.in_spool == 1)
    assert "full" in store.health.away
    store._writer._batches._connection.execute("PRAGMA max_page_count = 100000")
    await until(store, lambda: stored(path) == ["d1"])


async def test_where_the_spool_fails_too_rows_wait_in_memory_and_above_the_bound_are_counted(
    path, monkeypatch
):
    store = SQLite.open(path, busy_s=0.01, retry_s=0.02, max_queued=10)

    def refuse(records) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store._writer._spool, "append", refuse)  # a full disk
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    store.record(decision(0))
    await until(store, lambda: "No space left" in store.health.away)
    for number in range(1, 25):
        store.record(decision(number))
    connection.execute("ROLLBACK")
    connection.close()
    await until(store, lambda: not store.health.away)
    await store.close()
    kept = stored(path)
    assert kept[:10] == [f"d{number}" for number in range(10)]
    assert len(kept) + store.health.dropped == 25
    assert store.health.dropped > 0


async def test_closing_says_how_many_rows_it_could_keep_nowhere(path, monkeypatch):
    store = SQLite.open(path, busy_s=0.01, retry_s=0.02)

    def refuse(records) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store._writer._spool, "append", refuse)  # a full disk
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    for number in range(3):
        store.record(decision(number))
    with pytest.raises(
        StoreError, match=r"3 rows could not be written: database is locked; the spool too: .*space"
    ):
        await store.close()
    connection.close()
    assert store.health.dropped == 3


async def test_after_closing_rows_are_counted_as_dropped_and_reports_refused(store):
    await store.close()
    store.record(decision(1))
    assert store.health.dropped == 1
    with pytest.raises(StoreError, match="closed"):
        await store.report([outcome("a")])
    with pytest.raises(StoreError, match="closed"):
        await store.decision("d1")


async def test_rows_that_are_missing_between_others_are_counted_at_the_next_start(path):
    store = SQLite.open(path)
    for number in (0, 1, 4, 5):
        store.record(decision(number))
    store.record(dataclasses.replace(decision(7), replica="other"))
    await store.close()
    store = SQLite.open(path)
    assert store.health.lost == 2
    await store.close()


async def test_rows_that_died_with_their_process_before_a_commit_are_counted(path):
    store = SQLite.open(path)
    store.record(decision(0))
    await store.close()
    owner = Owner(path)  # as a process that recorded 1, 2 and 3 and was killed
    for number in (1, 2, 3):
        owner.note("replica", number)
    owner.close()
    for _ in range(2):
        store = SQLite.open(path)
        assert store.health.lost == 3
        await store.close()


async def test_a_row_that_cannot_be_written_does_not_take_its_batch_with_it(path, store, locked):
    for number in (1, 2**70, 3):
        store.record(decision(number))
    locked.execute("ROLLBACK")
    await until(store, lambda: stored(path) == ["d1", "d3"])
    assert store.health.dropped == 1


async def test_a_reporter_that_leaves_does_not_take_its_outcome_with_it(store):
    reporting = asyncio.create_task(store.report([outcome("a")]))
    await asyncio.sleep(0)
    reporting.cancel()
    assert await store.report([outcome("a")]) == (False,)
