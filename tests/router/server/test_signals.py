"""SIGTERM to a real process: health turns, running calls finish, rows are kept; a second signal does not wait."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from router.client import Client, Unavailable
from router.decisions.read_only import open_read_only

SCRIPT = Path(__file__).with_name("served_process.py")


@dataclass
class Served:
    """A process and its folder."""

    process: asyncio.subprocess.Process
    folder: Path
    router: str

    def rows(self) -> list[str]:
        """What the store holds, after the process has ended."""
        with open_read_only(self.folder / "rows.db") as look:
            return [str(row) for row in look.decisions(0.0, float("inf"))]


async def until(path: Path) -> None:
    async with asyncio.timeout(20):
        while not path.exists():  # noqa: ASYNC110, ASYNC240 (another process makes it)
            await asyncio.sleep(0.01)


async def until_health_is(target: str, wanted: int) -> None:
    async with grpc.aio.insecure_channel(target) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        async with asyncio.timeout(10):
            async for reply in stub.Watch(health_pb2.HealthCheckRequest()):
                if reply.status == wanted:
                    return


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, SCRIPT, tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    assert process.stdout is not None
    line = b""
    async with asyncio.timeout(60):
        while not line.startswith(b"127."):
            line = await process.stdout.readline()
            assert line, "the process ended before it served"
    yield Served(process, tmp_path, line.split()[0].decode())
    if process.returncode is None:
        process.kill()
        await process.wait()
    await process.stdout.read()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_running_call_finishes_and_its_row_is_kept(served: Served, number: signal.Signals):
    async with Client(served.router, timeout_s=60.0) as client:
        running = asyncio.create_task(client.generate("hi"))
        await until(served.folder / "entered")
        served.process.send_signal(number)
        await until_health_is(served.router, health_pb2.HealthCheckResponse.NOT_SERVING)
        with pytest.raises(Unavailable) as caught:
            await client.generate("too late", retries=0)
        assert caught.value.reason == "DRAINING"
        (served.folder / "gate").touch()
        assert (await running).text == "done"
    assert await asyncio.wait_for(served.process.wait(), 20) == 0
    assert len(served.rows()) == 1


async def test_a_second_signal_cuts_what_still_runs_and_keeps_its_row(served: Served):
    async with Client(served.router, timeout_s=60.0) as client:
        running = asyncio.create_task(client.generate("hi", retries=0))
        await until(served.folder / "entered")
        served.process.send_signal(signal.SIGTERM)
        await until_health_is(served.router, health_pb2.HealthCheckResponse.NOT_SERVING)
        served.process.send_signal(signal.SIGTERM)
        with pytest.raises(Unavailable):
            await running
    assert await asyncio.wait_for(served.process.wait(), 20) == 0
    (row,) = served.rows()
    assert "the caller left" in row


async def test_an_idle_server_ends_at_once(served: Served):
    served.process.terminate()
    assert await asyncio.wait_for(served.process.wait(), 20) == 0
