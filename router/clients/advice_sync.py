"""The same advice without asyncio, for one thread: every sample that is sent is answered before `send` returns."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import grpc

from router.clients.advice_types import Advised, Drawn, More, sample_request
from router.clients.errors import ApportionError, translated
from router.clients.retry import Attempts
from router.v1 import apportion_router_pb2 as pb


class SyncAdvice(Advised):
    """An open stream of advice; see `SyncClient.advise`."""

    def __init__(
        self,
        open_call: Callable[..., Any],
        opening: pb.AdviseRequest,
        attempts: Attempts,
        wait: Callable[[Attempts, grpc.RpcError], None],
    ) -> None:
        self._open_call, self._opening = open_call, opening
        self._attempts, self._wait = attempts, wait
        super().__init__()
        self._sent = 0

    def __enter__(self) -> Self:
        while True:
            self._messages: queue.SimpleQueue[pb.AdviseRequest | None] = queue.SimpleQueue()
            self._messages.put(self._opening)
            left_s = self._attempts.deadline_s - time.monotonic()
            self._call = self._open_call(iter(self._messages.get, None), timeout=left_s)
            try:
                self._standing.hear(next(self._call))
                return self
            except grpc.RpcError as error:
                self._messages.put(None)
                self._wait(self._attempts, error)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._messages.put(None)
        try:
            if error is None:
                self._hear(lambda: False)
        finally:
            self._call.cancel()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> More:
        """What is to be started next. Ends when there is enough."""
        if more := self._standing.due():
            return more
        if not self._standing.enough:
            self._hear(lambda: self._standing.is_due or self._standing.enough)
            if more := self._standing.due():
                return more
        raise StopIteration

    def send(self, drawn: Drawn) -> None:
        """Send a sample, finished or growing, and take in what the service says to it. Raises `ApportionError`."""
        self._messages.put(sample_request(drawn))
        self._sent += 1
        number = self._sent
        self._hear(lambda: self._standing.replies > number or self._standing.enough)

    def _hear(self, until: Callable[[], bool]) -> None:
        """Take in replies until `until`, or to the end of the call. Raises `ApportionError`."""
        try:
            while not until():
                reply = next(self._call, None)
                if reply is None:
                    return
                self._standing.hear(reply)
        except grpc.RpcError as error:
            failure: ApportionError = translated(error)
            raise failure from error
