"""What an OpenAI-compatible server sends back, as typed records: server-sent events and their JSON.

Unknown keys are skipped without being built, which is what makes decoding cheap enough for one call per token.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

import msgspec

from predictors.observation import TokenLogprob as Entry
from router.errors import BackendGarbled

Count = Annotated[int, msgspec.Meta(ge=0, le=2**40)]  # of tokens: a negative one would be money back
_ONE_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
LONGEST_EVENT = 8 * 1024 * 1024  # bytes; a server that never ends a line must not fill the memory


class _Record(msgspec.Struct, frozen=True, gc=False):
    """Immutable, and without cycles: the garbage collector need not look at it."""


class PromptDetails(_Record, frozen=True):
    """Of the prompt's tokens, those read from the prefix cache."""

    cached_tokens: Count | None = None


class OutputDetails(_Record, frozen=True):
    """Of the output's tokens, those of the thought."""

    reasoning_tokens: Count | None = None


class WireUsage(_Record, frozen=True):
    """With continuous usage: of one choice so far. In the last chunk: of the request."""

    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: OutputDetails | None = None


class FunctionPiece(_Record, frozen=True):
    """A piece of a tool call: the name comes once, arguments in pieces."""

    name: str | None = None
    arguments: str | None = None


class ToolPiece(_Record, frozen=True):
    """A piece of the tool call at `index`."""

    index: int | None = None
    id: str | None = None
    function: FunctionPiece | None = None


class TextPiece(_Record, frozen=True):
    """A piece of an assistant's message, or in a reply that was not streamed all of it."""

    content: str | None = None
    reasoning: str | None = None  # vLLM's newer name
    reasoning_content: str | None = None
    tool_calls: list[ToolPiece] | None = None


class Alternative(_Record, frozen=True):
    """One of the likeliest tokens at a place."""

    logprob: float


class TokenLogprob(_Record, frozen=True):
    """The drawn token's log-probability (nats) and its alternatives'."""

    logprob: float
    top_logprobs: list[Alternative] | None = None


class ChatLogprobs(_Record, frozen=True):
    """One entry per token of the piece."""

    content: list[TokenLogprob] | None = None


class ChatChoice(_Record, frozen=True):
    """A piece of the choice at `index`."""

    index: int = 0
    delta: TextPiece | None = None
    message: TextPiece | None = None
    logprobs: ChatLogprobs | None = None
    finish_reason: str | None = None

    def piece(self) -> TextPiece | None:
        """What was added."""
        return self.delta or self.message

    def places(self) -> list[tuple[float, list[float]]]:
        """Per token: its log-probability and those of the alternatives, in nats."""
        if self.logprobs is None:
            return []
        return [
            (token.logprob, [other.logprob for other in token.top_logprobs or ()])
            for token in self.logprobs.content or ()
        ]

    def entries(self) -> tuple[Entry, ...]:
        """The tokens by name: only in `NamedChatChoice`."""
        return ()


class ChatChunk(_Record, frozen=True):
    """One event of /v1/chat/completions."""

    choices: list[ChatChoice] = []  # msgspec copies the default
    usage: WireUsage | None = None
    error: Any = None


class TextLogprobs(_Record, frozen=True):
    """Parallel lists, one entry per token."""

    token_logprobs: list[float | None] | None = None
    top_logprobs: list[dict[str, float] | None] | None = None


class TextChoice(_Record, frozen=True):
    """A piece of the choice at `index`."""

    index: int = 0
    text: str | None = None
    logprobs: TextLogprobs | None = None
    finish_reason: str | None = None

    def piece(self) -> TextPiece | None:
        """What was added."""
        return TextPiece(content=self.text)

    def places(self) -> list[tuple[float, list[float]]]:
        """Per token: its log-probability and those of the alternatives, in nats."""
        if self.logprobs is None or self.logprobs.token_logprobs is None:
            return []
        drawn = self.logprobs.token_logprobs
        others = self.logprobs.top_logprobs or [None] * len(drawn)
        return [
            (logprob, list((top or {}).values()))
            for logprob, top in zip(drawn, others, strict=False)
            if logprob is not None
        ]

    def entries(self) -> tuple[Entry, ...]:
        """The tokens by name: only in `NamedTextChoice`."""
        return ()


class TextChunk(_Record, frozen=True):
    """One event of /v1/completions."""

    choices: list[TextChoice] = []  # msgspec copies the default
    usage: WireUsage | None = None
    error: Any = None


Choice = ChatChoice | TextChoice
Chunk = ChatChunk | TextChunk
DONE = b"[DONE]"


class EventReader:
    """Bytes in, the data of whole server-sent events out (WHATWG HTML, section 9.2; only `data` fields matter)."""

    __slots__ = ("_data", "_rest")

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []

    def feed(self, received: bytes) -> list[bytes]:
        """The events completed by `received`. Raises `BackendGarbled` for an event beyond `LONGEST_EVENT`."""
        if not (self._rest or self._data) and _is_one_event(received):
            return [received[5:-2].strip()]
        lines = (self._rest + received).split(b"\n")
        self._rest = lines.pop()
        events = []
        for line in lines:
            if line.startswith(b"data:"):
                self._data.append(line[5:].strip())
            elif self._data and not line.strip():
                events.append(b"\n".join(self._data))
                self._data.clear()
        if len(self._rest) + sum(map(len, self._data)) > LONGEST_EVENT:
            raise BackendGarbled(f"an event is longer than {LONGEST_EVENT} bytes")
        return events

    def finish(self) -> list[bytes]:
        """What a server left that ended without the closing empty line."""
        return self.feed(b"\n\n")


def _is_one_event(received: bytes) -> bool:
    """Whether it is a whole event of one line of data: what most servers send at a time."""
    return received.startswith(b"data:") and received.endswith(b"\n\n") and received.count(b"\n") == 2


def error_kind(error: Any) -> str:
    """An error object's `type` or `code`, where it is one word: it is kept where sentences must not be; else ""."""
    inner = error.get("error", error) if isinstance(error, dict) else None
    told = (inner.get(key) for key in ("type", "code")) if isinstance(inner, dict) else ()
    return next((word for word in told if isinstance(word, str) and _ONE_WORD.fullmatch(word)), "")


def error_text(error: Any) -> str:
    """The sentence of an error object, whatever its shape; at most 300 characters."""
    if isinstance(error, dict):
        error = error.get("error", error.get("message", error.get("detail", error)))
        if isinstance(error, dict):
            error = error.get("message", error)
    return " ".join(str(error).split())[:300]
