"""The same reply in the words of /v1/completions: `text_completion`, whole and in chunks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from msgspec import UNSET, UnsetType

from router.domain.events import CallPiece
from router.openai_door.chunks import DONE, Shown, event
from router.openai_door.reply import Choice, Completion, Logprobs, Sent, Tokens, Told


class TextLogprobs(Sent, frozen=True, kw_only=True):
    """Parallel lists, one entry per token."""

    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]]
    text_offset: list[int]


class TextChoice(Sent, frozen=True, kw_only=True):
    """One of the answers, or a piece of it."""

    index: int
    text: str
    logprobs: TextLogprobs | None = None
    finish_reason: str | None = None


class TextCompletion(Sent, frozen=True, kw_only=True):
    """The whole reply, or one event of its stream."""

    id: str
    object: str = "text_completion"
    created: int
    model: str
    choices: tuple[TextChoice, ...]
    usage: Tokens | UnsetType | None = UNSET
    router: Told | UnsetType = UNSET


def as_text(reply: Completion) -> TextCompletion:
    """A finished query in these words."""
    return TextCompletion(
        id=reply.id,
        created=reply.created,
        model=reply.model,
        choices=tuple(
            TextChoice(
                index=choice.index,
                text=choice.message.content or "",
                logprobs=_logprobs(choice.logprobs, 0),
                finish_reason=_reason(choice),
            )
            for choice in reply.choices
        ),
        usage=reply.usage,
        router=reply.router,
    )


@dataclass(frozen=True, slots=True)
class TextChunks:
    """The chunks of one stream; as `Chunks`."""

    id: str
    created: int
    model: str
    include_usage: bool

    def role(self, index: int = 0) -> bytes:
        """Nothing: texts have no role."""
        return b""

    def text(
        self, index: int, content: str, reasoning: str = "", logprobs: Logprobs | None = None, offset: int = 0
    ) -> bytes:
        """Committed text, `offset` characters behind the answer's start; thoughts have no place here."""
        if not content and logprobs is None:
            return b""
        return self._event(TextChoice(index=index, text=content, logprobs=_logprobs(logprobs, offset)))

    def calls(self, index: int, pieces: Sequence[CallPiece]) -> bytes:
        """Nothing: there are no tools."""
        return b""

    def rest(self, reply: Completion, shown: Shown) -> Iterator[bytes]:
        """What has not been streamed, the ends, the usage; then [DONE]."""
        for choice in reply.choices:
            said, tokens = (shown.text_chars, shown.tokens) if choice.index == 0 else (0, 0)
            text, logprobs = (choice.message.content or "")[said:], choice.logprobs
            if logprobs is not None:
                logprobs = Logprobs(content=logprobs.content[tokens:])
            if text or (logprobs is not None and logprobs.content):
                yield self._event(
                    TextChoice(index=choice.index, text=text, logprobs=_logprobs(logprobs, said))
                )
        last = len(reply.choices) - 1
        for choice in reply.choices:
            end = TextChoice(index=choice.index, text="", finish_reason=_reason(choice))
            yield self._event(end, reply.router if choice.index == last else UNSET)
        if self.include_usage:
            yield event(
                TextCompletion(
                    id=self.id, created=self.created, model=self.model, choices=(), usage=reply.usage
                )
            )
        yield DONE

    def _event(self, choice: TextChoice, router: Told | UnsetType = UNSET) -> bytes:
        return event(
            TextCompletion(
                id=self.id,
                created=self.created,
                model=self.model,
                choices=(choice,),
                usage=None if self.include_usage else UNSET,
                router=router,
            )
        )


def _reason(choice: Choice) -> str:
    """Of the words that chats have, those that texts have."""
    return "stop" if choice.finish_reason == "tool_calls" else choice.finish_reason


def _logprobs(said: Logprobs | None, offset: int) -> TextLogprobs | None:
    if said is None:
        return None
    offsets = []
    for token in said.content:
        offsets.append(offset)
        offset += len(token.token)
    return TextLogprobs(
        tokens=[token.token for token in said.content],
        token_logprobs=[token.logprob for token in said.content],
        top_logprobs=[{other.token: other.logprob for other in token.top_logprobs} for token in said.content],
        text_offset=offsets,
    )
