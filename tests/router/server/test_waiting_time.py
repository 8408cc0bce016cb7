"""A real server that is asked more than it can do knows how long its callers wait, though its loop is never late."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
import time
from pathlib import Path
from typing import Any, Self

import grpc

from router.serving.waiting_time import WaitingTime

WORK_S = 0.005  # of a call, in which the loop does nothing else


class Served:
    """A server with one slow method, on a port of its own."""

    def __init__(self) -> None:
        self.came, self.seen = 0, list[float]()
        self.waiting = WaitingTime(self.seen.append, lambda: self.came)

    async def _slow(self, _raw: bytes, _context: object) -> bytes:
        self.came += 1
        time.sleep(WORK_S)  # noqa: ASYNC251 (a decision is work of the loop's own)
        return b""

    async def __aenter__(self) -> Self:
        self.server = grpc.aio.server()
        handlers: dict[str, Any] = {"Slow": grpc.unary_unary_rpc_method_handler(self._slow)}
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test", handlers),))
        port = self.server.add_insecure_port("127.0.0.1:0")
        self.waiting.bind(self.server)
        await self.server.start()
        self.waiting.start()
        self.channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.channel.close()
        await self.waiting.close()
        await self.server.stop(None)

    async def ask(self, count: int) -> None:
        """So many calls at once."""
        slow: Any = self.channel.unary_unary("/test/Slow")
        await asyncio.gather(*(slow(b"") for _ in range(count)))


async def test_who_waits_longest_is_told_while_they_wait_and_nobody_when_all_are_answered():
    async with Served() as served:
        await served.ask(1)
        served.seen.clear()
        asked = asyncio.create_task(served.ask(400))  # two seconds of work
        await asked
        stood = list(served.seen)
        await asyncio.sleep(0.5)
        assert max(stood) >= 0.5
        grew = sum(later > earlier for earlier, later in itertools.pairwise(stood))
        assert grew >= 3  # age is told before the answer is there
        assert served.seen[-1] == 0.0


async def test_without_queries_it_asks_nothing():
    async with Served() as served:
        await asyncio.sleep(0.5)
        assert served.waiting._sent == {}
        assert set(served.seen) == {0.0}


async def test_only_the_own_user_can_open_the_socket_and_it_is_gone_afterwards():
    async with Served() as served:
        folder = Path(served.waiting._address.removeprefix("unix:")).parent
        assert folder.stat().st_mode & 0o777 == 0o700
        assert (folder / "wait").exists()
    assert not folder.exists()


async def test_where_no_socket_can_be_made_the_service_goes_without(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    async with Served() as served:
        await served.ask(3)
        assert served.seen == []
    assert "no socket can be made" in capsys.readouterr().out


async def test_closing_twice_is_closing_once():
    async with Served() as served:
        await served.waiting.close()
        await served.waiting.close()
