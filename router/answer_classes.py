"""Which answer class a finished sample's answer belongs to, and the tally with its vote.

First the exact match of canonical strings; only for mathematics, and only where that finds none, the slow
equivalence, in a thread that talks to a process of its own. The event loop never waits for either.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

from predictors.observation import Tally
from router.answer_numbers import canonical_number
from router.answers import canonical
from router.math_equivalence import MathEquivalence


class AnswerClasses:
    """Classes for one process; shared by all queries. `limit_s` is what one new mathematical answer may take."""

    def __init__(self, limit_s: float = 0.2, *, patience_s: float = 5.0, remember: int = 16_384) -> None:
        self.limit_s = limit_s
        self.patience_s = (
            patience_s  # while the process starts, or other queries' expressions are before this one
        )
        self._canonical = lru_cache(remember)(
            canonical
        )  # the classes of a tally are asked for with every vote
        self._equivalence = MathEquivalence(limit_s)
        self._thread: ThreadPoolExecutor | None = None

    async def classify(self, tally: Tally, answer: str, kind: str) -> int:
        """The index of the answer's class in the tally; `len(tally.counts)` where it is the first of its class.

        One dictionary look-up per class that the tally has. Raises `UnknownName` for a kind that is not one.
        """
        index = self.match(tally, answer, kind)
        if index is not None or kind != "math" or not tally.answers:
            return len(tally.answers) if index is None else index
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="answer-classes")
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self.patience_s):
                found = await loop.run_in_executor(self._thread, self._equivalent, tally, answer)
        except TimeoutError:
            found = None
        return len(tally.answers) if found is None else found

    def match(self, tally: Tally, answer: str, kind: str) -> int | None:
        """The class with the same canonical string, or None. Never slow."""
        name = self._canonical(answer, kind)
        for index, first in enumerate(tally.answers):
            if self._canonical(first, kind) == name:
                return index
        return None

    async def start(self) -> bool:
        """Start the process for mathematics now; False where math-verify is not installed (exact matches only)."""
        return await asyncio.to_thread(self._equivalence.start)

    async def close(self) -> None:
        """End the thread and the process."""
        if self._thread is not None:
            await asyncio.to_thread(self._thread.shutdown, cancel_futures=True)
            self._thread = None
        await asyncio.to_thread(self._equivalence.close)

    def _equivalent(self, tally: Tally, answer: str) -> int | None:
        is_number = canonical_number(answer) is not None
        # of two exact numbers the canonical strings have said that they differ
        unsure = [at for at, first in enumerate(tally.answers) if not (is_number and canonical_number(first))]
        if not unsure or not self._equivalence.start():
            return None
        until = time.monotonic() + self.limit_s
        for index in sorted(unsure, key=lambda at: -tally.counts[at]):
            if self._equivalence.equal(tally.answers[index], answer):
                return index
            if time.monotonic() > until:
                break
        return None


def voted(tally: Tally, answer: str | None, index: int | None) -> Tally:
    """The tally after one more finished sample; `index` None: it has no answer and does not vote."""
    if index is None or answer is None:
        return Tally(tally.counts, tally.answers, tally.drawn + 1)
    if index == len(tally.counts):
        return Tally((*tally.counts, 1), (*tally.answers, answer), tally.drawn + 1)
    counts = (*tally.counts[:index], tally.counts[index] + 1, *tally.counts[index + 1 :])
    return Tally(counts, tally.answers, tally.drawn + 1)
