"""Advice over asyncio: one query of a caller who draws the samples, from the first decision to the answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self

import grpc

from router.clients.advice_types import Advised, Drawn, More, sample_request
from router.clients.errors import ApportionError, translated
from router.clients.retry import Attempts
from router.v1 import apportion_router_pb2 as pb


class Advice(Advised):
    """An open stream of advice; see `Client.advise`. Samples may be sent from several tasks of one event loop."""

    def __init__(
        self,
        open_call: Callable[..., Any],
        opening: pb.AdviseRequest,
        attempts: Attempts,
        wait: Callable[[Attempts, grpc.RpcError], Awaitable[None]],
    ) -> None:
        self._open_call, self._opening = open_call, opening
        self._attempts, self._wait = attempts, wait
        super().__init__()
        self._sent = 0
        self._failure: ApportionError | None = None
        self._over = False
        self._writing = asyncio.Lock()
        self._heard = asyncio.Condition()

    async def __aenter__(self) -> Self:
        while True:
            left_s = self._attempts.deadline_s - time.monotonic()
            self._call = self._open_call(timeout=left_s)
            try:
                await self._call.write(self._opening)
                self._standing.hear(await self._call.read())
                break
            except grpc.RpcError as error:
                await self._wait(self._attempts, error)
            except asyncio.InvalidStateError:  # the call ended while the query was written
                await self._wait(self._attempts, await self._ended())
        self._reading = asyncio.create_task(self._read(), name="advice")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None and not self._over:
                await self._call.done_writing()
                await self._reading
                if self._failure is not None:
                    raise self._failure
        finally:
            self._call.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> More:
        """What is to be started next; waits while other tasks draw. Ends when there is enough."""
        async with self._heard:
            await self._heard.wait_for(lambda: self._standing.is_due or self._settled)
        if more := self._standing.due():
            return more
        if self._failure is not None:
            raise self._failure
        raise StopAsyncIteration

    async def send(self, drawn: Drawn) -> None:
        """Send a sample, finished or growing, and take in what the service says to it. Raises `ApportionError`."""
        request = sample_request(drawn)
        async with self._writing:
            if self._failure is not None:
                raise self._failure
            if self._over:
                return
            self._sent += 1
            number = self._sent
            try:
                await self._call.write(request)
            except (grpc.RpcError, asyncio.InvalidStateError):
                await self._reading  # which knows why the call ended
        async with self._heard:
            await self._heard.wait_for(lambda: self._standing.replies > number or self._settled)
        if self._failure is not None:
            raise self._failure

    @property
    def _settled(self) -> bool:
        return self._standing.enough or self._over

    async def _ended(self) -> grpc.RpcError:
        """The error of a call that is over."""
        try:
            await self._call.read()
        except grpc.RpcError as error:
            return error
        raise AssertionError("the call is over and has no error")

    async def _read(self) -> None:
        """Hear what the service says until the call ends."""
        try:
            while (reply := await self._call.read()) is not grpc.aio.EOF:
                async with self._heard:
                    self._standing.hear(reply)
                    self._heard.notify_all()
        except grpc.RpcError as error:
            self._failure = translated(error)
        finally:
            self._over = True
            async with self._heard:
                self._heard.notify_all()
