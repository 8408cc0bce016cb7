"""A reply as `chat.completion.chunk`s: a role, committed pieces, what is left of the answers, their ends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from router.domain.events import CallPiece
from router.openai_door.reply import Choice, Completion, Logprobs, Sent, Tokens, Told

DONE = b"data: [DONE]\n\n"


class FunctionPiece(Sent, frozen=True, kw_only=True):
    """The name stands in the first piece of a call, its arguments are in pieces."""

    name: str | UnsetType = UNSET
    arguments: str


class CallDelta(Sent, frozen=True, kw_only=True):
    """A piece of the tool call at `index`."""

    index: int
    id: str | UnsetType = UNSET
    type: str | UnsetType = UNSET
    function: FunctionPiece


class Delta(Sent, frozen=True, kw_only=True):
    """What is new of an answer."""

    role: str | UnsetType = UNSET
    content: str | UnsetType = UNSET
    refusal: str | UnsetType = UNSET
    reasoning_content: str | UnsetType = UNSET
    tool_calls: list[CallDelta] | UnsetType = UNSET


class ChunkChoice(Sent, frozen=True, kw_only=True):
    """A piece of the answer at `index`; with a finish reason it is the last one."""

    index: int
    delta: Delta = Delta()
    logprobs: Logprobs | None = None
    finish_reason: str | None = None


class Chunk(Sent, frozen=True, kw_only=True):
    """One event of the stream; `router` is in the last finish chunk."""

    id: str
    object: str = "chat.completion.chunk"
    created: int
    model: str
    choices: tuple[ChunkChoice, ...]
    usage: Tokens | UnsetType | None = UNSET
    router: Told | UnsetType = UNSET


@dataclass(slots=True)
class Shown:
    """What a stream has shown of the first answer."""

    texts: list[str] = field(default_factory=list)
    text_chars: int = 0
    reasoning_chars: int = 0
    tokens: int = 0  # with their log-probabilities
    calls: dict[int, int] = field(default_factory=dict)  # number of the call -> characters of its arguments


def event(value: Any) -> bytes:
    """One server-sent event."""
    return b"data: " + msgspec.json.encode(value) + b"\n\n"


@dataclass(frozen=True, slots=True)
class Chunks:
    """The chunks of one stream; with `include_usage` all but the last have `usage: null`, as OpenAI's."""

    id: str
    created: int
    model: str
    include_usage: bool

    def role(self, index: int = 0) -> bytes:
        """The first of an answer."""
        return self._event(ChunkChoice(index=index, delta=Delta(role="assistant", content="")))

    def text(
        self, index: int, content: str, reasoning: str = "", logprobs: Logprobs | None = None, offset: int = 0
    ) -> bytes:
        """Committed text; where it stands (`offset`) nobody asks in a chat."""
        delta = Delta(content=content or UNSET, reasoning_content=reasoning or UNSET)
        return self._event(ChunkChoice(index=index, delta=delta, logprobs=logprobs))

    def calls(self, index: int, pieces: Sequence[CallPiece]) -> bytes:
        """Pieces of tool calls."""
        deltas = [
            CallDelta(
                index=piece.index,
                id=piece.id or UNSET,
                type="function" if piece.name else UNSET,
                function=FunctionPiece(name=piece.name or UNSET, arguments=piece.arguments),
            )
            for piece in pieces
        ]
        return self._event(ChunkChoice(index=index, delta=Delta(tool_calls=deltas)))

    def rest(self, reply: Completion, shown: Shown) -> Iterator[bytes]:
        """What has not been streamed: of the first answer after what was `shown`, of the others all; then [DONE].

        After it, the deltas of every answer, joined, are its message.
        """
        for choice in reply.choices:
            if choice.index > 0:
                yield self.role(choice.index)
                shown = Shown()
            yield from self._left(choice, shown)
        last = len(reply.choices) - 1
        for choice in reply.choices:
            end = ChunkChoice(index=choice.index, finish_reason=choice.finish_reason)
            yield self._event(end, reply.router if choice.index == last else UNSET)
        if self.include_usage:
            yield event(
                Chunk(id=self.id, created=self.created, model=self.model, choices=(), usage=reply.usage)
            )
        yield DONE

    def _left(self, choice: Choice, shown: Shown) -> Iterator[bytes]:
        message = choice.message
        reasoning = (message.reasoning_content or "")[shown.reasoning_chars :]  # UNSET is false
        text, logprobs = (message.content or "")[shown.text_chars :], choice.logprobs
        if logprobs is not None:
            logprobs = Logprobs(content=logprobs.content[shown.tokens :])
        if text or reasoning or (logprobs is not None and logprobs.content):
            yield self.text(choice.index, text, reasoning, logprobs)
        if message.refusal:
            yield self._event(ChunkChoice(index=choice.index, delta=Delta(refusal=message.refusal)))
        for place, call in enumerate(message.tool_calls or ()):
            said = shown.calls.get(place)
            if said is None:
                piece = CallPiece(place, call.id, call.function.name, call.function.arguments)
                yield self.calls(choice.index, (piece,))
            elif said < len(call.function.arguments):
                yield self.calls(choice.index, (CallPiece(place, arguments=call.function.arguments[said:]),))

    def _event(self, choice: ChunkChoice, router: Told | UnsetType = UNSET) -> bytes:
        return event(
            Chunk(
                id=self.id,
                created=self.created,
                model=self.model,
                choices=(choice,),
                usage=None if self.include_usage else UNSET,
                router=router,
            )
        )
