"""One choice of a request while it comes in: text, thought, tool calls, logprobs, tokens."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from predictors.observation import Sample, TokenLogprob, ToolCall
from router.backends.openai_chunks import Choice, TextPiece, ToolPiece, WireUsage
from router.domain.events import CallPiece, Delta

LEAST_LOGPROB = -10_000.0  # nats; what is never drawn is said to have -9999


@dataclass(slots=True)
class _ToolBeingWritten:
    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)


@dataclass(slots=True)
class GrowingChoice:
    """Collects the pieces of one sample. Without usage a piece has the tokens that its logprobs name, else one."""

    sample_id: str
    backend: str
    stage: int
    index: int
    texts: list[str] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)
    tools: dict[int, _ToolBeingWritten] = field(default_factory=dict)
    counted: int = 0  # tokens of the pieces that carried something, as far as these tell without usage
    thought_tokens: int = 0  # of the pieces that carried a thought
    reported: int | None = None  # output tokens so far, as the server says
    reported_thought: int | None = None
    shared: bool = False  # `reported` is a share of what the request used
    logprob_sum: float = 0.0
    logprob_tokens: int = 0
    first_entropy: float | None = None
    entries: list[TokenLogprob] = field(default_factory=list)  # where the query asks for them
    finish_reason: str = ""
    first_token_s: float | None = None

    @property
    def tokens(self) -> int:
        """Output tokens so far: reported, else counted."""
        return self.counted if self.reported is None else self.reported

    @property
    def tokens_reasoning(self) -> int:
        """Of the tokens so far, those of the thought: reported, else counted."""
        return min(
            self.tokens, self.thought_tokens if self.reported_thought is None else self.reported_thought
        )

    @property
    def characters(self) -> int:
        """Of text and thought."""
        return sum(map(len, self.texts)) + sum(map(len, self.thoughts))

    def add(self, choice: Choice, usage: WireUsage | None, elapsed_s: float) -> Delta | None:
        """Take one piece in; return it as a delta if it carried text or thought."""
        piece = choice.piece()
        text = (piece.content or "") if piece else ""
        thought = _thought(piece)
        before = self.tokens
        if text or thought or (piece and piece.tool_calls):
            self.counted += 1 if usage is not None else max(1, len(choice.places()))
            if self.first_token_s is None:
                self.first_token_s = elapsed_s
        if usage is not None:
            self._count(usage)
        calls = self._add_tools(piece.tool_calls) if piece and piece.tool_calls else ()
        entries: tuple[TokenLogprob, ...] = ()
        if choice.logprobs is not None:
            self._add_logprobs(choice.places())
            if text:
                entries = choice.entries()
                self.entries += entries
        if choice.finish_reason:
            self.finish_reason = choice.finish_reason
        if not text and not thought and not calls:
            return None
        grown = max(0, self.tokens - before)  # a report may be below what was counted until then
        if thought:
            self.thoughts.append(thought)
            # a piece of several tokens in which the thought ends: by length
            self.thought_tokens += round(grown * len(thought) / (len(thought) + len(text)))
        if text:
            self.texts.append(text)
        return Delta(self.sample_id, text, thought, grown, self.backend, calls, entries)

    def sample(
        self, *, tokens_in: int, tokens_cached: int, estimated: bool, latency_s: float, finished: bool = True
    ) -> Sample:
        """What has come so far."""
        return Sample(
            sample_id=self.sample_id,
            backend=self.backend,
            text="".join(self.texts),
            stage=self.stage,
            index=self.index,
            finished=finished,
            finish_reason=self.finish_reason if finished else "",
            tool_calls=tuple(
                ToolCall(tool.id, tool.name, "".join(tool.arguments))
                for _, tool in sorted(self.tools.items())
            ),
            reasoning="".join(self.thoughts),
            tokens_in=tokens_in,
            tokens_cached=tokens_cached,
            tokens_out=self.tokens,
            tokens_reasoning=self.tokens_reasoning,
            usage_estimated=estimated,
            mean_logprob=min(0.0, self.logprob_sum / self.logprob_tokens) if self.logprob_tokens else None,
            first_entropy=self.first_entropy,
            token_logprobs=tuple(self.entries),
            prefix_tokens=None if finished else self.tokens,
            first_token_s=self.first_token_s,
            latency_s=latency_s,
        )

    def _count(self, usage: WireUsage) -> None:
        if usage.completion_tokens is not None:
            self.reported = max(self.reported or 0, usage.completion_tokens)
        self.take_thought(usage)

    def take_thought(self, usage: WireUsage) -> None:
        """The tokens of its thought, where a usage that is its alone says them."""
        details = usage.completion_tokens_details
        if details is not None and details.reasoning_tokens is not None:
            self.reported_thought = details.reasoning_tokens

    def _add_tools(self, pieces: Sequence[ToolPiece]) -> tuple[CallPiece, ...]:
        """Take pieces of calls in; what is new of each. Ids and names come once, in whatever piece they stand."""
        new = []
        for place, piece in enumerate(pieces):
            index = place if piece.index is None else piece.index
            tool = self.tools.setdefault(index, _ToolBeingWritten())
            called = piece.function
            name = (called.name or "") if called is not None and not tool.name else ""
            arguments = (called.arguments or "") if called is not None else ""
            named = piece.id or "" if not tool.id else ""
            tool.id, tool.name = piece.id or tool.id, tool.name or name
            tool.arguments.append(arguments)
            new.append(CallPiece(index, named, name, arguments))
        return tuple(new)

    def _add_logprobs(self, places: Sequence[tuple[float, Sequence[float]]]) -> None:
        for said, alternatives in places:
            logprob = min(0.0, max(LEAST_LOGPROB, said))  # rounding gives some above 0
            if self.logprob_tokens == 0 and alternatives:
                self.first_entropy = entropy(alternatives)
            self.logprob_sum += logprob
            self.logprob_tokens += 1


def entropy(logprobs: Sequence[float]) -> float:
    """Shannon entropy in nats of the alternatives, scaled to sum to one: H = −Σ p ln p, 0 <= H <= ln(len)."""
    weights = [math.exp(min(0.0, logprob)) for logprob in logprobs]
    total = sum(weights)
    if not total > 0.0 or not math.isfinite(total):
        return 0.0
    shares = [weight / total for weight in weights if weight > 0.0]
    return max(0.0, -sum(share * math.log(share) for share in shares))


def _thought(piece: TextPiece | None) -> str:
    """Servers name it `reasoning` or `reasoning_content`; some send both with the same text."""
    return (piece.reasoning or piece.reasoning_content or "") if piece else ""
