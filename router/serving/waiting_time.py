"""How long calls wait before anybody looks at them, measured by some that go the way of all.

gRPC hands one call after another to the event loop; where more come than it can work off they wait inside gRPC, where
neither their number nor their age is told, and the loop itself is hardly late. So the service calls itself ten times a
second while queries come, over a socket that only its own user can open: since calls are taken in turn, the oldest of
these that is not answered is as old as the oldest of all. (Methods that generated code registers, as health, have a
turn of their own; this one has not.)
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path

import grpc
import structlog

SERVICE, METHOD = "apportion.internal", "Wait"
TICK_S = 0.1
MOST = 100  # on their way
GIVEN_UP_S = 30.0


def wait_handler() -> grpc.GenericRpcHandler:
    """A call that does nothing, and has no secrets."""

    async def answered(_raw: bytes, _context: object) -> bytes:
        return b""

    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        METHOD: grpc.unary_unary_rpc_method_handler(answered)
    }
    return grpc.method_handlers_generic_handler(SERVICE, handlers)


class WaitingTime:
    """Tells `seen` every `TICK_S` how long the oldest call waits. `bind` before the server starts, then `start`."""

    def __init__(self, seen: Callable[[float], None], queries: Callable[[], int]) -> None:
        self.tell, self._queries = seen, queries  # `queries`: that came since the start
        self.answered = 0  # calls to ourselves
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._sent: dict[
            asyncio.Task[None], float
        ] = {}  # calls on their way, in order, and when they were sent

    def bind(self, server: grpc.aio.Server) -> None:
        """Add the handler and the socket; where there is no place for one, say so and go without."""
        server.add_generic_rpc_handlers((wait_handler(),))
        try:
            self._folder = tempfile.TemporaryDirectory(prefix="apportion-")  # mode 0700
            server.add_insecure_port(self._address)
        except (OSError, RuntimeError) as error:
            self._folder = None
            structlog.get_logger("router.serving").warning(
                "no socket can be made to measure how long calls wait: overload is seen later",
                error=str(error),
            )

    def start(self) -> None:
        """Begin to look."""
        if self._folder is not None and self._watching is None:
            self._watching = asyncio.create_task(self._watch(), name="waiting time of calls")

    async def close(self) -> None:
        """Look no more."""
        ending = [*self._sent, *([self._watching] if self._watching is not None else [])]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        self._watching = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    @property
    def _address(self) -> str:
        return f"unix:{Path(self._folder.name) / 'wait'}" if self._folder is not None else ""

    def _over(self, call: asyncio.Task[None]) -> None:
        self.answered += not call.cancelled()
        del self._sent[call]

    async def _watch(self) -> None:
        clock = asyncio.get_running_loop().time
        async with grpc.aio.insecure_channel(self._address) as channel:
            ask: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(f"/{SERVICE}/{METHOD}")
            before = self._queries()
            while True:
                await asyncio.sleep(TICK_S)
                came, before = self._queries() - before, self._queries()
                self.tell(clock() - next(iter(self._sent.values())) if self._sent else 0.0)
                if (came or self._sent) and len(self._sent) < MOST:
                    call = asyncio.create_task(_answered(ask))
                    self._sent[call] = clock()
                    call.add_done_callback(self._over)


async def _answered(ask: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]) -> None:
    with contextlib.suppress(grpc.aio.AioRpcError):  # the server goes down, or ended what waited too long
        await ask(b"", timeout=GIVEN_UP_S)
