"""The small model writes several next steps side by side, a scorer says which are good, the good ones go on.

A round: every text that is kept is continued to the end of a step as often as the keep rule says (`search_keep`: beam,
diverse, particle, rebase), and every new text is scored (`search_score`: its own log-probabilities, the large model as
a judge, or a reward model). It ends when `beams` texts have ended, or with its `expansions`; the best ended text is the
sample, else the best open one, written to its end in one piece. Search over steps with verifiers (Snell et al. 2024,
Liu et al. 2025): a small model with it may do what a large one does, at a multiple of its own tokens.

When it fails: with a scorer that does not know right from wrong it finds what pleases the scorer; without temperature
all steps are alike (equal ones are kept once); texts without steps are best of n. Nothing streams before the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from predictors.observation import Sample
from router.backends import Backend
from router.backends.composed import Composed, Work, step_ended
from router.backends.search_keep import KEEPS, Round
from router.backends.search_score import Scorer, scorer_of
from router.config import BackendConfig
from router.domain.events import Delta
from router.errors import BackendError, BackendUnavailable


@dataclass(frozen=True, slots=True)
class Grown:
    """A text on its way."""

    pieces: tuple[Sample, ...] = ()
    value: float = 0.0  # [0, 1]: how good it is
    root: int = 0  # which first step it came from
    ended: bool = False

    @property
    def text(self) -> str:
        """So far."""
        return "".join(piece.text for piece in self.pieces)

    @property
    def tokens(self) -> int:
        """Of the text."""
        return sum(piece.tokens_out for piece in self.pieces)


class Search(Composed):
    """See the module."""

    def __init__(
        self,
        name: str = "search",
        config: BackendConfig | None = None,
        members: Mapping[str, Backend] | None = None,
    ) -> None:
        super().__init__(name, config, members)
        self.scorer: Scorer = scorer_of(self.how.scorer, self.how.reward_mark)
        writer = self._members.get(self.how.small)
        if writer is not None:  # a scorer's own abilities do not matter
            self.capabilities = replace(
                writer.capabilities,
                tools=False,
                images=False,
                response_format=False,
                extra=frozenset(),
                token_logprobs=False,
                context_tokens=self.capabilities.context_tokens,
            )

    def needed(self) -> tuple[Backend, ...]:
        """See `Composed.needed`."""
        return (self.small, self.large) if self.scorer.asks else (self.small,)

    async def write(self, work: Work) -> AsyncGenerator[Delta, None]:
        """The best text that was found."""
        best = await self._found(work)
        for piece in best.pieces:
            yield work.take(piece)
        if not best.ended and work.left > 0:
            yield work.take(await work.ask(self.small, max_tokens=work.left))

    async def close(self) -> None:
        """The scorer's connections."""
        await self.scorer.close()

    async def _found(self, work: Work) -> Grown:
        how, keep = self.how, KEEPS[self.how.keep]
        rng = Random(work.call.seed + work.index)
        open_texts, ended, left = [Grown()], list[Grown](), how.expansions
        for step in range(how.most_steps):
            room = min(how.candidates, left)
            if room < 1 or not open_texts or len(ended) >= how.beams:
                break
            values, roots = [one.value for one in open_texts], [one.root for one in open_texts]
            counts = keep(Round(values, roots, room, how.beams, rng))
            left -= sum(counts)
            try:
                grown = await self._grown(work, open_texts, counts)
            except BackendError:
                if not ended:
                    raise
                break  # what has ended is whole, and paid for
            if step == 0:
                grown = [replace(one, root=number % how.beams) for number, one in enumerate(grown)]
            scored = await self._scored(work, grown, first=step == 0)
            ended += [one for one in scored if one.ended]
            open_texts = [one for one in scored if not one.ended]
        return max(ended or open_texts, key=lambda one: one.value)  # of equals the first

    async def _grown(self, work: Work, texts: Sequence[Grown], counts: Sequence[int]) -> list[Grown]:
        """Every text continued as often as it may be; equal continuations once. Raises where none came."""
        asked = [(text, count) for text, count in zip(texts, counts, strict=True) if count]
        came = await each(self._steps(work, text, count) for text, count in asked)
        found: dict[str, Grown] = {}
        for several in came:
            if isinstance(several, BackendError):
                continue
            for one in several:
                found.setdefault(one.text, one)
        failed = next((one for one in came if isinstance(one, BackendError)), None)
        if not found:
            raise failed or BackendUnavailable(f"{self.name}: {self.small.name} gave nothing")
        return list(found.values())

    async def _steps(self, work: Work, text: Grown, count: int) -> list[Grown]:
        left = work.left - text.tokens
        room, until = min(self.how.step_tokens, left), self.how.step_end
        pieces = await work.ask_several(self.small, count, max_tokens=room, until=until, said=text.text)
        return [
            replace(
                text,
                pieces=(*text.pieces, piece),
                ended=left <= piece.tokens_out
                or not (step_ended(piece.text, until) or piece.tokens_out >= room),
            )
            for piece in pieces
        ]

    async def _scored(self, work: Work, texts: Sequence[Grown], *, first: bool) -> list[Grown]:
        """With what the scorer says of each; who is not scored is worth nothing.

        Raises where it fails for all of the `first` ones: without a scorer this is no search, and nobody would know.
        """
        large = self._members.get(self.how.large)
        scores = await each(self.scorer.score(work, large, one.pieces) for one in texts)
        if first and all(isinstance(score, BackendError) for score in scores):
            raise scores[0]
        return [
            replace(
                one,
                value=0.0
                if score is None or isinstance(score, BackendError)
                else score
                if self.scorer.whole or len(one.pieces) == 1
                else min(one.value, score),  # a text is as good as its weakest step
            )
            for one, score in zip(texts, scores, strict=True)
        ]


async def each(asked: Iterable[Coroutine[Any, Any, Any]]) -> list[Any]:
    """What each gave, side by side; a backend's error in the place of what failed. Leaving cancels all of them."""
    tasks = [asyncio.ensure_future(one) for one in asked]
    try:
        found = await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for one in found:
        if isinstance(one, BaseException) and not isinstance(one, BackendError):
            raise one
    return found
