"""What an OpenAI-compatible server answered to one request: text, tokens with their log-probabilities, times, usage."""

from __future__ import annotations

import codecs
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

UNKNOWN = "\ufffd"  # how a server spells a token that is a part of a character


@dataclass(frozen=True, slots=True)
class Token:
    """One generated token."""

    spelling: bytes  # UTF-8, maybe a part of a character
    logprob: float  # nats, <= 0
    at_s: float  # seconds after the request when it came


@dataclass(slots=True)
class Reply:
    """What came back; None where the server did not say."""

    text: str = ""
    finish_reason: str | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    first_token_s: float | None = None
    latency_s: float = 0.0
    tokens: list[Token] = field(default_factory=list)  # where log-probabilities were asked for
    # log-probabilities of the first token's alternatives
    first_top: list[float] = field(default_factory=list)

    @property
    def mean_logprob(self) -> float | None:
        """Nats per token, <= 0."""
        return mean_logprob(self.tokens)

    @property
    def first_entropy(self) -> float | None:
        """Nats over the first token's top alternatives, scaled to sum to 1; >= 0."""
        chances = [math.exp(value) for value in self.first_top]
        total = sum(chances)
        if not total:
            return None
        return max(0.0, -sum(p / total * math.log(p / total) for p in chances if p > 0))

    def add(self, chunk: Mapping[str, Any], elapsed_s: float) -> None:
        """Take in one event of the stream, or a whole reply that was not streamed."""
        usage = chunk.get("usage") or {}
        self.tokens_in = usage.get("prompt_tokens", self.tokens_in)
        self.tokens_out = usage.get("completion_tokens", self.tokens_out)
        for choice in chunk.get("choices") or ():
            piece = choice.get("delta") or choice.get("message") or {}
            text = piece.get("content") or ""
            if text and self.first_token_s is None:
                self.first_token_s = elapsed_s
            self.text += text
            self.finish_reason = choice.get("finish_reason") or self.finish_reason
            for entry in (choice.get("logprobs") or {}).get("content") or ():
                if not self.tokens:
                    self.first_top = [other["logprob"] for other in entry.get("top_logprobs") or ()]
                self.tokens.append(Token(_spelling(entry), entry["logprob"], elapsed_s))


def mean_logprob(tokens: Sequence[Token]) -> float | None:
    """Nats per token, <= 0; None of no tokens."""
    return min(0.0, sum(token.logprob for token in tokens) / len(tokens)) if tokens else None


def token_ends(text: str, tokens: Sequence[Token]) -> tuple[int, ...] | None:
    """How many characters of `text` are there after each token; None where the tokens do not spell the text.

    A part of a character shows nothing, as in a stream. Tokens after the text's end (its end-of-text mark) are left
    out. It fails, with None, where the text is not what was generated: a thought that the server took out of it.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    shown, held = 0, 0
    ends: list[int] = []
    for token in tokens:
        if shown == len(text):
            break
        piece = decoder.decode(token.spelling)
        if UNKNOWN in piece and not text.startswith(piece, shown):
            held += 1  # the server could not spell it: its characters are found with the next token
        else:
            start = text.find(piece, shown, shown + held + len(piece))
            if start < 0:
                return None
            shown, held = start + len(piece), 0
        ends.append(shown)
    return tuple(ends) if len(text) - shown <= held else None


def _spelling(entry: Mapping[str, Any]) -> bytes:
    raw = entry.get("bytes")
    return bytes(raw) if raw is not None else str(entry.get("token", "")).encode("utf-8", "replace")
