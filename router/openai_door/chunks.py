"""A reply as `chat.completion.chunk`s: a role, committed text, what is left of the answers, their ends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from router.openai_door.reply import Call, Completion, Sent, Tokens, Told

DONE = b"data: [DONE]\n\n"


class Delta(Sent, frozen=True, kw_only=True):
    """What is new of an answer."""

    role: str | UnsetType = UNSET
    content: str | UnsetType = UNSET
    reasoning_content: str | UnsetType = UNSET
    tool_calls: list[Call] | UnsetType = UNSET


class ChunkChoice(Sent, frozen=True, kw_only=True):
    """A piece of the answer at `index`; with a finish reason it is the last one."""

    index: int
    delta: Delta = Delta()
    logprobs: None = None
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

    def text(self, index: int, content: str, reasoning: str = "") -> bytes:
        """Committed text."""
        delta = Delta(content=content or UNSET, reasoning_content=reasoning or UNSET)
        return self._event(ChunkChoice(index=index, delta=delta))

    def rest(self, reply: Completion, text_sent: int = 0, reasoning_sent: int = 0) -> Iterator[bytes]:
        """What has not been streamed: of the first answer after so many characters, of the others all; then [DONE].

        After it, the deltas of every answer, joined, are its message.
        """
        for choice in reply.choices:
            yield from self._left(choice.index, reply, text_sent, reasoning_sent)
        last = len(reply.choices) - 1
        for choice in reply.choices:
            end = ChunkChoice(index=choice.index, finish_reason=choice.finish_reason)
            yield self._event(end, reply.router if choice.index == last else UNSET)
        if self.include_usage:
            yield event(
                Chunk(id=self.id, created=self.created, model=self.model, choices=(), usage=reply.usage)
            )
        yield DONE

    def _left(self, index: int, reply: Completion, text_sent: int, reasoning_sent: int) -> Iterator[bytes]:
        message = reply.choices[index].message
        if index > 0:
            yield self.role(index)
            text_sent = reasoning_sent = 0
        reasoning = message.reasoning_content or ""  # UNSET is false
        text, reasoning = (message.content or "")[text_sent:], reasoning[reasoning_sent:]
        if text or reasoning:
            yield self.text(index, text, reasoning)
        for place, call in enumerate(message.tool_calls or ()):
            numbered = msgspec.structs.replace(call, index=place)
            yield self._event(ChunkChoice(index=index, delta=Delta(tool_calls=[numbered])))

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
