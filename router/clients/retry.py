"""When a call is tried again: within its deadline, after what the service asked for, with jitter."""

from __future__ import annotations

import random
from dataclasses import dataclass

from router.clients.errors import ApportionError

FIRST_WAIT_S = 0.1
LONGEST_WAIT_S = 2.0
JITTER = 0.25  # share added, so that callers who were shed together do not come back together


@dataclass(slots=True)
class Attempts:
    """The attempts of one call."""

    deadline_s: float  # on the clock that `now_s` is of
    retries: int  # >= 0
    rng: random.Random
    repeatable: bool = True  # False: only where the service refused before it did anything
    failed: int = 0

    def wait_s(self, error: ApportionError, now_s: float) -> float | None:
        """Seconds to wait before the next attempt; None where there is none."""
        told = error.retry_after_s
        if self.failed >= self.retries or not error.may_retry or (told is None and not self.repeatable):
            return None
        wait_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2**self.failed) if told is None else told
        wait_s *= 1 + JITTER * self.rng.random()
        if now_s + wait_s >= self.deadline_s:
            return None
        self.failed += 1
        return wait_s
