"""Which answer class a finished sample's answer belongs to, and the tally with its vote.

First the exact match of canonical strings. Where that finds none: for free text a comparison by words with the most
frequent classes; for mathematics the slow equivalence, in a thread that talks to a process of its own. The event loop
never waits for it.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

from predictors.observation import Tally
from router.answering.math_equivalence import MathEquivalence
from router.answering.number_forms import canonical_number
from router.answering.same_text import same_text
from router.answers import canonical

ASKED = 32  # classes of free text that an answer is compared with: some 2 ms


class AnswerClasses:
    """Classes for one process; shared by all queries. `limit_s` is what one new mathematical answer may take."""

    def __init__(self, limit_s: float = 0.2, *, patience_s: float = 5.0, remember: int = 16_384) -> None:
        self.limit_s = limit_s
        # while other queries' expressions are before this one, or the process is replaced
        self.patience_s = patience_s
        # the classes of a tally are asked for with every vote
        self._canonical = lru_cache(remember)(canonical)
        self._equivalence = MathEquivalence(limit_s)
        self._thread: ThreadPoolExecutor | None = None
        self._started: asyncio.Task[bool] | None = None

    async def classify(self, tally: Tally, answer: str, kind: str) -> int:
        """The index of the answer's class in the tally; `len(tally.counts)` where it is the first of its class.

        One dictionary look-up per class that the tally has. Raises `UnknownName` for a kind that is not one.
        """
        index = self.match(tally, answer, kind)
        if index is None and kind == "math":
            index = await self._same_by_meaning(tally, answer)
        elif index is None and kind == "prose":
            index = same_prose(tally, answer)
        return len(tally.answers) if index is None else index

    def match(self, tally: Tally, answer: str, kind: str) -> int | None:
        """The class with the same canonical string, or None. Never slow."""
        name = self._canonical(answer, kind)
        for index, first in enumerate(tally.answers):
            if self._canonical(first, kind) == name:
                return index
        return None

    def warm(self) -> asyncio.Task[bool]:
        """Start the thread and the process in the background, once, so that the first answers need not wait for them.

        The task's result is that of `start`. Call it inside of the event loop that classifies.
        """
        if self._thread is None or self._started is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="answer-classes")
            self._started = asyncio.create_task(self.start())
        return self._started

    async def start(self) -> bool:
        """Start the process for mathematics now; False where math-verify is not installed (exact matches only)."""
        return await asyncio.to_thread(self._equivalence.start)

    async def close(self) -> None:
        """End the thread and the process."""
        if self._started is not None:
            await asyncio.wait((self._started,))
        if self._thread is not None:
            await asyncio.to_thread(self._thread.shutdown, cancel_futures=True)
            self._thread = self._started = None
        await asyncio.to_thread(self._equivalence.close)

    async def _same_by_meaning(self, tally: Tally, answer: str) -> int | None:
        is_number = canonical_number(answer) is not None
        # of two exact numbers the canonical strings have said that they differ
        unsure = [at for at, first in enumerate(tally.answers) if not (is_number and canonical_number(first))]
        if not unsure:
            return None
        # once, and without a limit: the first answers of a process are compared like all others
        if not await asyncio.shield(self.warm()):
            return None
        unsure.sort(key=lambda at: -tally.counts[at])
        candidates = [(at, tally.answers[at]) for at in unsure]
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self.patience_s):
                return await loop.run_in_executor(self._thread, self._first_equal, candidates, answer)
        except TimeoutError:
            return None

    def _first_equal(self, candidates: list[tuple[int, str]], answer: str) -> int | None:
        if not self._equivalence.start():
            return None
        until = time.monotonic() + self.limit_s
        for index, first in candidates:
            if self._equivalence.equal(first, answer):
                return index
            if time.monotonic() > until:
                break
        return None


def same_prose(tally: Tally, answer: str) -> int | None:
    """The class whose first answer says the same, of several the one with most votes; the most frequent are asked."""
    frequent = sorted(range(len(tally.answers)), key=lambda at: -tally.counts[at])[:ASKED]
    return next((at for at in frequent if same_text(tally.answers[at], answer)), None)


def voted(tally: Tally, answer: str | None, index: int | None) -> Tally:
    """The tally after one more finished sample; `index` None: it has no answer and does not vote."""
    if index is None or answer is None:
        return Tally(tally.counts, tally.answers, tally.drawn + 1)
    if index == len(tally.counts):
        return Tally((*tally.counts, 1), (*tally.answers, answer), tally.drawn + 1)
    counts = (*tally.counts[:index], tally.counts[index] + 1, *tally.counts[index + 1 :])
    return Tally(counts, tally.answers, tally.drawn + 1)
