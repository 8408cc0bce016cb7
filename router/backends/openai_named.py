"""The same chunks with the tokens by their names: decoded only where a caller asks for log-probabilities."""

from __future__ import annotations

from msgspec import field

from predictors.observation import TokenLogprob
from router.backends.openai_chunks import (
    Alternative,
    ChatChoice,
    ChatChunk,
    ChatLogprobs,
    TextChoice,
    TextChunk,
    TextLogprobs,
)
from router.backends.openai_chunks import TokenLogprob as Unnamed


class NamedAlternative(Alternative, frozen=True):
    """One of the likeliest tokens at a place, and which it is."""

    token: str = ""
    bytes: list[int] | None = None

    def entry(self) -> TokenLogprob:
        """In our words."""
        return TokenLogprob(self.token, self.logprob, tuple(self.bytes) if self.bytes is not None else None)


class NamedToken(Unnamed, frozen=True):
    """The drawn token."""

    token: str = ""
    bytes: list[int] | None = None
    top_logprobs: list[NamedAlternative] | None = None  # type: ignore[assignment]  # more than its parent's

    def entry(self) -> TokenLogprob:
        """In our words."""
        utf8 = tuple(self.bytes) if self.bytes is not None else None
        return TokenLogprob(
            self.token, self.logprob, utf8, tuple(other.entry() for other in self.top_logprobs or ())
        )


class NamedChatLogprobs(ChatLogprobs, frozen=True):
    """One entry per token of the piece."""

    content: list[NamedToken] | None = None  # type: ignore[assignment]  # as above


class NamedChatChoice(ChatChoice, frozen=True):
    """A piece of the choice at `index`."""

    logprobs: NamedChatLogprobs | None = None

    def entries(self) -> tuple[TokenLogprob, ...]:
        """One per token."""
        tokens = self.logprobs.content if self.logprobs is not None else None
        return tuple(token.entry() for token in tokens or ())


class NamedChatChunk(ChatChunk, frozen=True):
    """One event of /v1/chat/completions."""

    choices: list[NamedChatChoice] = field(default_factory=list)  # type: ignore[assignment]  # as above


class NamedTextLogprobs(TextLogprobs, frozen=True):
    """Parallel lists, one entry per token."""

    tokens: list[str] | None = None


class NamedTextChoice(TextChoice, frozen=True):
    """A piece of the choice at `index`."""

    logprobs: NamedTextLogprobs | None = None

    def entries(self) -> tuple[TokenLogprob, ...]:
        """One per token that has a log-probability: a prompt's first has none."""
        said = self.logprobs
        if said is None or said.tokens is None or said.token_logprobs is None:
            return ()
        tops = said.top_logprobs or [None] * len(said.tokens)
        return tuple(
            TokenLogprob(
                token, logprob, None, tuple(TokenLogprob(name, value) for name, value in (top or {}).items())
            )
            for token, logprob, top in zip(said.tokens, said.token_logprobs, tops, strict=False)
            if logprob is not None
        )


class NamedTextChunk(TextChunk, frozen=True):
    """One event of /v1/completions."""

    choices: list[NamedTextChoice] = field(default_factory=list)  # type: ignore[assignment]  # as above
