"""`serve --workers 2`: one address, one store, one mode; a worker's death is seen by nobody but its own callers."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from router.client import AdminClient, ApportionError, Client, Mode
from router.decisions.owner import Owner
from router.decisions.read_only import open_read_only

CONFIG = """
reference = "dear"
policy = { kind = "fixed", plan = "cheap" }
[store]
sqlite = "decisions.db"
[budget]
dollars = 100.0
[backends.cheap]
kind = "scripted"
script = ["yes"]
price_out = 1.0
[backends.dear]
kind = "scripted"
script = ["no"]
price_out = 10.0
[[plans]]
name = "cheap"
stages = [{ backend = "cheap" }]
[[plans]]
name = "dear"
stages = [{ backend = "dear" }]
"""
ENDS_WITHIN_S = 40.0


class Workers:
    def __init__(self, folder: Path) -> None:
        self.config = folder / "router.toml"
        self.config.write_text(CONFIG)
        command = [sys.executable, "-m", "router", "serve", "--config", str(self.config), "--workers", "2"]
        ports = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]
        with (folder / "log").open("wb") as log:
            self.process = subprocess.Popen([*command, *ports], stdout=subprocess.PIPE, stderr=log, text=True)
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        found = re.fullmatch(r"listening router=(\S+) admin=(\S+)\n", said)
        assert found, (said, (folder / "log").read_text())
        self.router, self.admin = found[1], found[2]

    @property
    def pids(self) -> list[int]:
        pid = self.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def end(self) -> int:
        if self.process.poll() is None:
            self.process.terminate()
        code = self.process.wait(ENDS_WITHIN_S)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


@pytest.fixture
def workers(tmp_path) -> Iterator[Workers]:
    started = Workers(tmp_path)
    yield started
    started.end()


async def ask(address: str, count: int) -> list[str]:
    """The plans of as many queries, each over a connection of its own, and so of either worker."""
    plans = []
    for number in range(count):  # at the same time they would share one connection
        async with Client(address) as client:
            plans.append((await client.generate(f"query {number}?")).decision.plan)
    return plans


def rows(workers: Workers) -> list[tuple[str, int]]:
    with open_read_only(workers.config.with_name("decisions.db")) as look:
        return [(row.replica, row.sequence) for row in look.decisions(0.0, time.time() + 60) if row]


async def until(holds, within_s: float = 20.0) -> None:
    async with asyncio.timeout(within_s):
        while not await holds():  # noqa: ASYNC110 (another process makes it hold)
            await asyncio.sleep(0.1)


def gone(pid: int) -> bool:
    try:
        return "State:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return True


@pytest.mark.timeout(180)
async def test_both_answer_one_writes_and_nothing_is_lost_when_they_end(workers):
    assert await ask(workers.router, 40) == ["cheap"] * 40
    assert len(workers.pids) == 2
    assert workers.end() == 0
    found = rows(workers)
    replicas = {replica for replica, _ in found}
    assert (len(found), len(replicas)) == (40, 2)
    for replica in replicas:
        numbers = sorted(number for of, number in found if of == replica)
        assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.timeout(180)
async def test_a_mode_that_is_set_at_one_admin_port_holds_in_all(workers):
    async with AdminClient(workers.admin) as admin:
        await admin.set_mode(Mode.BYPASS)

    async def bypassed() -> bool:
        return set(await ask(workers.router, 16)) == {"dear"}

    await until(bypassed)


@pytest.mark.timeout(180)
async def test_a_worker_that_is_killed_is_started_again_and_rows_of_both_are_kept(workers):
    first, second = workers.pids
    os.kill(second, signal.SIGKILL)

    async def again() -> bool:
        return len([pid for pid in workers.pids if not gone(pid)]) == 2

    await until(lambda: asyncio.sleep(0, result=gone(second)))
    answered = 0
    for _ in range(20):
        try:
            answered += len(await ask(workers.router, 1))
        except ApportionError:
            continue
    assert answered >= 15
    await until(again)
    assert first in workers.pids


@pytest.mark.timeout(180)
async def test_workers_do_not_outlive_the_process_that_owns_the_store(workers):
    pids = workers.pids
    workers.process.kill()
    workers.process.wait()
    await until(lambda: asyncio.sleep(0, result=all(map(gone, pids))), ENDS_WITHIN_S)
    Owner(workers.config.with_name("decisions.db")).close()  # nobody holds the store any more


def test_budgets_that_every_process_would_keep_for_itself_are_refused(tmp_path):
    config = tmp_path / "router.toml"
    config.write_text(CONFIG.replace("decisions.db", ":memory:"))
    command = [sys.executable, "-m", "router", "serve", "--config", str(config), "--workers", "2"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode != 0
    assert "--workers 2: budgets would be kept in each process's memory" in ended.stderr
