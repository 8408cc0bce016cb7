"""One sample that is looked at while it grows: cue points, side calls for its tentative answer, and its early end.

The sample goes on while a side call runs. A side call that fails, is late or brings no answer is as if it had not been
asked: the trace simply goes on. Stated ignorance: how requests are sent, and when a rule is satisfied.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

from predictors.observation import Sample
from router.answers import extract
from router.backends import Call
from router.backends.elicit import asking_words, closing_words, reply_of, thought_is_open, written
from router.config import GrowingConfig
from router.domain.cues import said_since
from router.domain.events import Delta
from router.domain.growth import Growth
from router.errors import BackendError

Asked = Callable[[str, int], Coroutine[Any, Any, Sample]]
"""(the assistant's turn so far, most tokens) -> what the server went on with; booked as a side call.

Raises `BackendError`.
"""


@dataclass(slots=True)
class Trace:
    """A growing sample. `events` is read once; closing it frees the sample and its side call."""

    call: Call
    growth: Growth
    how: GrowingConfig
    stream: AsyncGenerator[Sample | Delta, None]  # with unfinished samples every few tokens
    ask: Asked
    _looked_at: int | None = None  # tokens at the latest look, or check-point without a cue of the rule
    _heard_to: int = 0  # characters that were searched for a cue
    _latest: Sample | None = None
    _since: list[Delta] = field(default_factory=list)  # shown behind the latest state
    _tentative: tuple[Sample, Sample] | None = None  # the sample as it was asked, what it said
    _side: asyncio.Task[Sample] | None = field(default=None, repr=False)

    async def events(self) -> AsyncGenerator[Sample | Delta, None]:
        """Deltas where the call wants them, looks that are due, and the finished sample."""
        async with aclosing(self._until_closed()) as events:
            async for event in events:
                yield event
                if isinstance(event, Sample) and event.finished:
                    return
        if self._latest is not None and self._latest.sample_id in self.call.closing:
            async for event in self._closed(with_deltas(self._latest, self._since)):
                yield event

    async def _until_closed(self) -> AsyncGenerator[Sample | Delta, None]:
        upcoming = asyncio.ensure_future(anext(self.stream, None))
        try:
            while not self._is_closing():
                await asyncio.wait(
                    {upcoming, self._side} if self._side else {upcoming}, return_when=asyncio.FIRST_COMPLETED
                )
                if self._side is not None and self._side.done():
                    look = self._look()
                    if look is not None:
                        yield look
                    continue
                event = upcoming.result()
                if event is None:
                    return
                if not isinstance(event, Delta) and event.finished:
                    yield event
                    return
                upcoming = asyncio.ensure_future(anext(self.stream, None))
                for shown in self._taken(event):
                    yield shown
        finally:
            await _let_go(upcoming, self._side)
            self._side = None
            await self.stream.aclose()

    def _is_closing(self) -> bool:
        return self._latest is not None and self._latest.sample_id in self.call.closing

    def _taken(self, event: Sample | Delta) -> list[Sample | Delta]:
        """What of an event of the sample is shown at once; a look that wants an answer is asked for it."""
        if isinstance(event, Delta):
            if not self.call.stream:
                return []
            self._since.append(event)
            return [event]
        self._latest, self._since = event, []
        if self._side is not None or not self._is_due(event):
            return []
        self._looked_at, self._heard_to = event.tokens_out, len(event.reasoning) + len(event.text)
        if not self.growth.answers:
            return [event]
        begun = written(event, self.how) + asking_words(event, self.how)
        self._side = asyncio.ensure_future(self._asked(event, begun))
        return []

    def _is_due(self, sample: Sample) -> bool:
        """Late enough, and at a cue of the rule's; a rule without cues waits for the server's, but not for long."""
        tokens, how = sample.tokens_out, self.how
        if not self.growth.due(tokens, self._looked_at):
            return False
        if self.growth.cues:  # without one there is nothing to see, however long it takes
            heard = self._heard(sample, self.growth.cues)
            self._looked_at = tokens
            return heard
        if not how.cues or not how.patience:
            return True
        since = self.growth.first if self._looked_at is None else self._looked_at + self.growth.every
        return tokens >= since + how.patience or self._heard(sample, how.cues)

    def _heard(self, sample: Sample, cues: tuple[str, ...]) -> bool:
        """Whether a cue was said since the last look; what was searched in vain is not searched again."""
        said = sample.reasoning + sample.text
        found = said_since(said, self._heard_to, cues)
        self._heard_to = len(said)
        return found

    async def _asked(self, sample: Sample, begun: str) -> Sample:
        """Ask for the answer; what comes is a sample of its own, remembered beside the one that it is about."""
        async with asyncio.timeout(self.how.side_call_s):
            said = await self.ask(begun, self.how.answer_tokens)
        self._tentative = (sample, said)
        return said

    def _look(self) -> Sample | None:
        """The sample as it was when its answer was asked for; None where the side call failed."""
        side, self._side = self._side, None
        assert side is not None  # noqa: S101 (asked before)
        if side.cancelled() or isinstance(side.exception(), BackendError | TimeoutError):
            return None
        said = side.result()
        assert self._tentative is not None  # noqa: S101 (set with the result)
        about = self._tentative[0]
        answer = tentative_answer(self.how.elicit, reply_of(said))
        return replace(about, answer=answer, confidence=probability(said) if answer is not None else None)

    async def _closed(self, sample: Sample) -> AsyncGenerator[Sample | Delta, None]:
        """End it with an answer; where the server does not give one, the tentative answer must do."""
        known = self._tentative
        if known is not None and not self.call.stream and self._is_an_end(*known):
            yield self._ended(known[0], asking_words(known[0], self.how), known[1], extra=0)
            return
        words = closing_words(sample, self.how)
        limit = self.call.sampling.max_tokens
        left = (
            self.how.close_tokens if limit is None else min(self.how.close_tokens, limit - sample.tokens_out)
        )
        said = await self._asked_to_end(written(sample, self.how) + words, left)
        if said is None:
            answer = None
            if known is not None:
                answer = tentative_answer(self.how.elicit, reply_of(known[1]))
            yield replace(sample, finished=True, finish_reason="cut", prefix_tokens=None, answer=answer)
            return
        ended = self._ended(sample, words, said, extra=said.tokens_out)
        if self.call.stream:
            yield Delta(sample.sample_id, ended.text[len(sample.text) :], "", said.tokens_out, sample.backend)
        yield ended

    async def _asked_to_end(self, begun: str, left: int) -> Sample | None:
        """None where the server fails, or no token is left to end it with: a sample beyond its limit is a breach."""
        if left < 1:
            return None
        try:
            return await self.ask(begun, left)
        except BackendError:
            return None

    def _is_an_end(self, about: Sample, said: Sample) -> bool:
        """Whether the tentative answer is what closing would give: no thought to close, and it came to its end."""
        whole = said.finish_reason == "stop" and bool(reply_of(said).strip())
        return whole and not thought_is_open(about, self.how)

    def _ended(self, sample: Sample, words: str, said: Sample, extra: int) -> Sample:
        """`sample`, the words that closed it and what came then, as one; of a parsed thought no marks are kept."""
        hidden = bool(sample.reasoning) and not sample.text
        text = reply_of(said).lstrip() if hidden else sample.text + words + reply_of(said)
        return replace(
            sample,
            text=text,
            finished=True,
            finish_reason="closed",
            tokens_out=sample.tokens_out + extra,
            answer=None,
            confidence=None,
        )


def with_deltas(sample: Sample, since: list[Delta]) -> Sample:
    """The sample with what was shown of it since: nothing that a caller has seen is taken back."""
    if not since:
        return sample
    return replace(
        sample,
        text=sample.text + "".join(delta.text for delta in since),
        reasoning=sample.reasoning + "".join(delta.reasoning for delta in since),
        tokens_out=sample.tokens_out + sum(delta.tokens for delta in since),
    )


def tentative_answer(elicit: str, reply: str) -> str | None:
    r"""The answer in the first line of a side call's reply; None for an empty one.

    >>> tentative_answer("\n\nThe answer is", " 42.\nBut wait")
    '42'
    """
    line = reply.lstrip().partition("\n")[0]
    return extract(f"{elicit.strip()} {line}", "auto") if line.strip() else None


def probability(said: Sample) -> float | None:
    """Of the reply's tokens together; None without log-probabilities."""
    if said.mean_logprob is None:
        return None
    return math.exp(min(0.0, said.mean_logprob * max(1, said.tokens_out)))


async def _let_go(*tasks: asyncio.Task[Any] | asyncio.Future[Any] | None) -> None:
    """Cancel what still runs and wait until it has cleaned up."""
    running = [task for task in tasks if task is not None]
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
