"""Real processes under load: bundles are swapped without a failed request, and one switch ends all cleverness.

The long form is `make swaps` (100 swaps, a second apart); here a few, so that the suite sees that it holds at all.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from router.client import AdminClient, ApportionError, Client
from router.domain.decision import Mode
from router.rollout.releases import BundleState
from router.rollout.shelf import Shelf

TOML = """
bundles = "bundles"
[backends.small]
kind = "scripted"
script = ["4"]
price_out = 0.1
[backends.large]
kind = "scripted"
script = ["5"]
price_out = 1.0
[[plans]]
name = "small"
stages = [{{ backend = "small" }}]
[[plans]]
name = "large"
stages = [{{ backend = "large" }}]
[store]
sqlite = "{name}.db"
ledger = "shared.db"
[server]
listen = "127.0.0.1:0"
admin_listen = "127.0.0.1:0"
replay_s = 1.0
"""  # finished replies are kept so long: by default ten minutes, which would look like memory that bundles take
SWAPS = int(os.environ.get("APPORTION_SWAPS", "8"))
ASKERS = 4
GAP_S = 2.0 if SWAPS > 20 else 0.5  # between two swaps, so that there are seconds without one
WARM_SWAPS = 4  # of which memory may grow: pools and caches fill


@dataclass
class Replica:
    """One served process."""

    process: asyncio.subprocess.Process
    client: Client
    admin: AdminClient

    @property
    def resident(self) -> int:
        """Bytes."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")


@asynccontextmanager
async def served(folder: Path, name: str) -> AsyncIterator[Replica]:
    path = folder / f"{name}.toml"
    path.write_text(TOML.format(name=name))
    command = (sys.executable, "-m", "router", "serve", "--config", str(path))
    with (folder / f"{name}.log").open("w") as log:
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, stderr=log)
        assert process.stdout is not None
        line = (await process.stdout.readline()).decode()
        found = re.search(r"router=(\S+) admin=(\S+)", line)
        assert found, (folder / f"{name}.log").read_text()
        try:
            async with Client(found[1], timeout_s=20.0) as client, AdminClient(found[2]) as admin:
                yield Replica(process, client, admin)
        finally:
            process.terminate()
            await process.wait()


class Load:
    """Asks several replicas without a pause; knows when each request ended and how long it took."""

    def __init__(self, replicas: list[Replica], askers: int) -> None:
        self.times: list[tuple[float, float]] = []
        self.failed: list[Exception] = []
        self.modes: list[list[tuple[float, Mode]]] = [[] for _ in replicas]
        self._ended = False
        self._tasks = [
            asyncio.create_task(self._ask(place, replica))
            for place, replica in enumerate(replicas)
            for _ in range(askers)
        ]

    async def _ask(self, place: int, replica: Replica) -> None:
        clock = asyncio.get_running_loop().time
        while not self._ended:
            began = clock()
            try:
                reply = await replica.client.generate("What is 12 + 30? Think, then say the number.")
            except ApportionError as error:
                self.failed.append(error)
                continue
            self.times.append((began, clock() - began))
            self.modes[place].append((began, reply.decision.mode))

    async def end(self) -> None:
        self._ended = True
        await asyncio.gather(*self._tasks)


async def bytes_per_request(replica: Replica, load: Load) -> float:
    """What a request leaves behind for a while without any swap: ids that must not be charged twice, and the like."""
    await asyncio.sleep(5.0)
    resident, asked = replica.resident, len(load.times)
    await asyncio.sleep(SWAPS * GAP_S)
    return max(0.0, (replica.resident - resident) / max(1, len(load.times) - asked))


def say(capsys, *lines: str) -> None:
    """Past pytest's capture: the figures are what the long form is run for."""
    with capsys.disabled():
        sys.stdout.write("\n" + "\n".join(lines) + "\n")


@pytest.fixture
def folder(tmp_path, shelf):
    return tmp_path


@pytest.mark.timeout(900)
async def test_swaps_under_load_fail_no_request_and_keep_no_old_bundle(folder, capsys):
    versions = Shelf(folder / "bundles").versions()
    clock = asyncio.get_running_loop().time
    async with served(folder, "alone") as replica:
        load = Load([replica], ASKERS)
        swapped, held = [], []
        each = await bytes_per_request(replica, load) if SWAPS > 20 else 0.0
        before = len(load.times)
        for number in range(SWAPS):
            await asyncio.sleep(GAP_S)
            swapped.append(clock())
            await replica.admin.promote_bundle(versions[number % len(versions)], BundleState.ACTIVE)
            held.append(replica.resident)
        await asyncio.sleep(GAP_S)
        await load.end()
    size = max(
        sum(file.stat().st_size for file in place.iterdir()) for place in (folder / "bundles").glob("*/")
    )
    near = [took for at, took in load.times if any(began - took <= at <= began + 1 for began in swapped)]
    calm = [took for at, took in load.times if not any(began - took <= at <= began + 1 for began in swapped)]
    grown = held[-1] - held[min(WARM_SWAPS, len(held) - 1)] - each * (len(load.times) - before)
    told = [
        f"{SWAPS} swaps, bundles of {size / 1e6:.2f} MB, {len(load.times):,} requests, {len(load.failed)} failed"
    ]
    if len(calm) > 50:
        usual, swap = (1e3 * float(np.quantile(times, 0.99)) for times in (calm, near))
        told.append(f"p99 {usual:.1f} ms, in a swap's second {swap:.1f} ms: {swap / usual:.2f} x")
    first, last = held[min(WARM_SWAPS, len(held) - 1)] / 1e6, held[-1] / 1e6
    told.append(f"resident {first:.1f} MB after {WARM_SWAPS} swaps, {last:.1f} MB after the last")
    told.append(f"{each:.0f} bytes per request without swaps; beyond these {grown / 1e6:+.1f} MB")
    say(capsys, *told)
    assert not load.failed
    assert len(load.times) > 10 * SWAPS
    if SWAPS > 20:
        assert grown < 20e6, "memory grew by more than a bundle takes"


@pytest.mark.timeout(180)
async def test_the_kill_switch_reaches_all_replicas_under_load(folder, capsys):
    names = ("one", "two", "three") if SWAPS > 20 else ("one", "two")
    async with AsyncExitStack() as stack:
        entered = [stack.enter_async_context(served(folder, name)) for name in names]
        replicas = [await one for one in entered]
        load = Load(replicas, 1)
        await asyncio.sleep(0.5)
        clock = asyncio.get_running_loop().time
        thrown = clock()
        await replicas[0].admin.set_mode(Mode.BYPASS)
        async with asyncio.timeout(30):
            while not all(seen and seen[-1][1] is Mode.BYPASS for seen in load.modes):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)
        await load.end()
        last = [
            max((at for at, mode in seen if mode is Mode.APPLY), default=thrown) - thrown
            for seen in load.modes
        ]
    told = ", ".join(f"{max(0.0, seconds):.2f} s" for seconds in last)
    say(capsys, f"SetMode(bypass), {len(names)} replicas under load: the last query decided after {told}")
    assert not load.failed
    if SWAPS > 20:  # in the suite a machine is as late as the tests beside this one make it
        assert max(last) <= 2.0
