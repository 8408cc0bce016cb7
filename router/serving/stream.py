"""The events of one query on its caller's stream: only committed text, nothing taken back."""

from __future__ import annotations

import structlog

from router.connections.keep_alive_stream import KeepAliveStream
from router.domain.events import AnswerDelta, Done, Event, Started
from router.serving.calls import Call
from router.serving.deltas import Deltas, OpenStreams
from router.v1 import apportion_router_pb2 as pb
from router.wire.parts import Prices
from router.wire.reply import replayed, reply, rest_of_answers, started, told

Stream = KeepAliveStream[pb.GenerateStreamEvent]
KEEP_ALIVE = pb.GenerateStreamEvent(keep_alive=pb.KeepAlive())


def deltas(stream: Stream, streams: OpenStreams) -> Deltas:
    """Committed text as events of the stream."""

    async def write(text: str, reasoning: str) -> None:
        # filled in place: half of the time of a message that is copied into it
        event = pb.GenerateStreamEvent()
        event.answer_delta.text = text
        event.answer_delta.reasoning = reasoning
        await stream.write(event)

    return Deltas(write, streams)


class StreamedReply:
    """What one query's caller is told, event by event."""

    def __init__(
        self,
        stream: Stream,
        deltas: Deltas,
        request: pb.GenerateRequest,
        prices: Prices,
        call: Call,
        request_id: str,
    ) -> None:
        self.stream, self.deltas, self.request, self.prices = stream, deltas, request, prices
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
            self.stream.write_ahead(started(event, self.request_id))  # a backend is asked meanwhile
        elif isinstance(event, Done):
            await self.deltas.flush()
            return await self._end(event)
        elif self.request.return_samples and (message := told(event, self.request, self.prices)):
            await self.deltas.flush()
            await self.stream.write(message)
        return None

    async def _commit(self, event: AnswerDelta) -> None:
        reasoning = event.reasoning if self.request.return_reasoning else ""
        if event.text or reasoning:
            self._text.append(event.text)
            self._reasoning.append(reasoning)
            await self.deltas.add(event.text, reasoning)

    async def _end(self, event: Done) -> pb.GenerateReply:
        answer = reply(event, self.request, self.prices)
        text, reasoning = "".join(self._text), "".join(self._reasoning)
        first = event.answers[0].text if event.answers else ""
        # a backend whose pieces are not its text: nothing to be done for this caller
        if not first.startswith(text):
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
