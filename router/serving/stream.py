"""The events of one query on its caller's stream: only committed text, nothing taken back, never silent for long."""

from __future__ import annotations

import asyncio
import contextlib
from types import TracebackType
from typing import Self

import structlog

from router.domain.events import AnswerDelta, Done, Event, Started
from router.serving.calls import Call, Send
from router.v1 import apportion_router_pb2 as pb
from router.wire.parts import Prices
from router.wire.reply import replayed, reply, rest_of_answers, started, told


class Stream:
    """Enter it to write; while it is open, `keep_alive_s` seconds of silence are broken by a `KeepAlive`."""

    def __init__(self, send: Send, keep_alive_s: float) -> None:
        self._send, self._keep_alive_s = send, keep_alive_s
        self._writing = asyncio.Lock()  # gRPC takes one message of a call at a time
        self._clock = asyncio.get_running_loop().time
        self._wrote_s = self._clock()

    async def __aenter__(self) -> Self:
        self._alive = asyncio.create_task(self._keep_alive())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._alive.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._alive

    async def write(self, event: pb.GenerateStreamEvent) -> None:
        """Write one event."""
        async with self._writing:
            await self._send(event)
            self._wrote_s = self._clock()

    async def _keep_alive(self) -> None:
        while True:
            left_s = self._wrote_s + self._keep_alive_s - self._clock()
            if left_s > 0:
                await asyncio.sleep(left_s)
                continue
            try:
                await self.write(pb.GenerateStreamEvent(keep_alive=pb.KeepAlive()))
            except Exception:  # noqa: BLE001 (whatever gRPC raises: the caller is gone, and the call itself ends by that)
                return


class Telling:
    """What one query's caller is told, event by event."""

    def __init__(
        self, stream: Stream, request: pb.GenerateRequest, prices: Prices, call: Call, request_id: str
    ) -> None:
        self.stream, self.request, self.prices = stream, request, prices
        self.call, self.request_id = call, request_id
        self.streams = False
        self._text: list[str] = []
        self._reasoning: list[str] = []

    async def tell(self, event: Event) -> pb.GenerateReply | None:
        """Write what the caller should see of `event`; the reply, where it is the last."""
        if isinstance(event, AnswerDelta):
            await self._commit(event)
        elif isinstance(event, Started):
            self.call.decision_id, self.streams = event.decision_id, event.streams
            await self.stream.write(started(event, self.request_id))
        elif isinstance(event, Done):
            return await self._end(event)
        elif self.request.return_samples and (message := told(event, self.request, self.prices)):
            await self.stream.write(message)
        return None

    async def _commit(self, event: AnswerDelta) -> None:
        reasoning = event.reasoning if self.request.return_reasoning else ""
        if event.text or reasoning:
            self._text.append(event.text)
            self._reasoning.append(reasoning)
            delta = pb.AnswerDelta(text=event.text, reasoning=reasoning)
            await self.stream.write(pb.GenerateStreamEvent(answer_delta=delta))

    async def _end(self, event: Done) -> pb.GenerateReply:
        answer = reply(event, self.request, self.prices)
        text, reasoning = "".join(self._text), "".join(self._reasoning)
        first = event.answers[0].text if event.answers else ""
        if not first.startswith(
            text
        ):  # a backend whose pieces are not its text: nothing to be done for this caller
            structlog.get_logger().error(
                "streamed text is not in the answer", decision_id=self.call.decision_id
            )
        for delta in rest_of_answers(answer.answers, len(text), len(reasoning)):
            await self.stream.write(delta)
        return answer


async def tell_again(stream: Stream, answer: pb.GenerateReply, commit: pb.Commit.ValueType) -> None:
    """A finished reply as a stream."""
    for event in replayed(answer, commit):
        await stream.write(event)
