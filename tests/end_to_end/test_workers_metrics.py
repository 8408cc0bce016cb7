"""`serve --workers 2`: one scrape shows all workers, and what a killed one counted stays."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from router.client import ApportionError, Client

CONFIG = """
[store]
sqlite = "decisions.db"
[metrics]
listen = "127.0.0.1:0"
on_door = true
[server]
http_listen = "127.0.0.1:0"
[backends.one]
kind = "scripted"
script = ["yes"]
[[plans]]
name = "one"
stages = [{ backend = "one" }]
"""
ENDS_WITHIN_S = 40.0
ANSWERED = 'apportion_decisions_total{mode="apply",plan="one",status="answered"}'


class Workers:
    def __init__(self, folder: Path) -> None:
        config = folder / "router.toml"
        config.write_text(CONFIG)
        command = [sys.executable, "-m", "router", "serve", "--config", str(config), "--workers", "2"]
        ports = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]
        with (folder / "log").open("wb") as log:
            self.process = subprocess.Popen([*command, *ports], stdout=subprocess.PIPE, stderr=log, text=True)
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        found = re.fullmatch(r"listening router=(\S+) admin=(\S+) http=(\S+) metrics=(\S+)\n", said)
        assert found, (said, (folder / "log").read_text())
        self.router, self.http, self.metrics = found[1], found[3], found[4]

    @property
    def pids(self) -> list[int]:
        pid = self.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    async def ask(self, count: int) -> int:
        """Each over a connection of its own, and so of either worker; how many were answered."""
        answered = 0
        for number in range(count):
            async with Client(self.router, retries=0) as client:
                try:
                    answered += bool((await client.generate(f"query {number}?")).text)
                except ApportionError:
                    continue
        return answered

    async def page(self, address: str) -> dict[str, float]:
        async with aiohttp.ClientSession() as http, http.get(f"http://{address}/metrics") as reply:
            assert reply.status == 200
            lines = [line.rpartition(" ") for line in (await reply.text()).splitlines() if line[:1] != "#"]
        return {name: float(value) for name, _, value in lines}


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[Workers]:
    started = Workers(tmp_path)
    yield started
    started.process.terminate()
    assert started.process.wait(ENDS_WITHIN_S) == 0
    assert started.process.stdout is not None
    started.process.stdout.close()


def resident_bytes(pid: int) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("VmRSS"))


@pytest.mark.timeout(180)
async def test_one_scrape_sees_all_workers_whichever_is_asked(workers):
    assert await workers.ask(40) == 40
    pages = [await workers.page(address) for address in (workers.metrics, *[workers.http] * 6)]
    assert {page[ANSWERED] for page in pages} == {40}
    assert {page["apportion_workers"] for page in pages} == {2}
    assert {page["apportion_most_queries"] for page in pages} == {2000}
    committed = 'apportion_store_rows_total{result="committed"}'
    async with asyncio.timeout(20):
        while (await workers.page(workers.metrics))[committed] < 40:  # noqa: ASYNC110 (another process writes)
            await asyncio.sleep(0.05)
    own = sum(map(resident_bytes, (*workers.pids, workers.process.pid)))
    shown = (await workers.page(workers.metrics))["process_resident_memory_bytes"]
    assert shown == pytest.approx(own, rel=0.2)


@pytest.mark.timeout(180)
async def test_no_count_falls_when_a_worker_is_killed_and_begins_anew(workers):
    answered = await workers.ask(40)
    before = await workers.page(workers.metrics)
    assert before[ANSWERED] == answered
    await asyncio.sleep(1.5)  # past what is told every second
    os.kill(workers.pids[0], signal.SIGKILL)
    seen = before
    async with asyncio.timeout(60):
        while seen["apportion_worker_ends_total"] < 1 or seen["apportion_workers"] < 2:
            page = await workers.page(workers.metrics)
            grown = [name for name in before if re.search(r"_(total|count|sum|bucket)(\{|$)", name)]
            assert not [name for name in grown if page.get(name, 0.0) < seen.get(name, 0.0)]
            seen = page
            await asyncio.sleep(0.1)
    more = await workers.ask(20)
    after = await workers.page(workers.metrics)
    assert after[ANSWERED] == answered + more
