"""Which share of the queries is refused because calls wait too long before anybody looks at them.

A controller on the wait, as PIE has it (Pan et al. 2013, RFC 8033): the share follows how far the wait is from its
target, and faster while it grows. The wait is the least of half a second (CoDel, Nichols & Jacobson 2012): what falls
to nothing in between is no queue that stands, as where a process is kept from its processor for a moment. Every so
many-th query is refused, not one by lot. When it fails: a refusal costs a fifth to two fifths of a decision, so that
beyond three times of what a process can do it refuses nearly all; what still waits gRPC ends (`LONGEST_WAIT_S`).
"""

from __future__ import annotations

from collections import deque

TARGET_S = 1.0  # a burst of so much work is worked off, and nobody refused
LOOKS = 5  # whose least wait counts
# of the share, per look: for a second of wait above the target, and for a second more than at the look before
TOWARDS, AHEAD = 0.1, 0.5
STEP = 0.1  # at most
MOST = 0.95  # some come in, so that it is seen when they can
FALL, LEAST = 0.8, 0.001  # of the share, per look at which hardly anybody waits


class Shedding:
    """One event loop. `seen` every tenth of a second; `next_is_refused`, and then maybe `refused`, for every query."""

    def __init__(self) -> None:
        self.share = 0.0  # of queries that are refused
        self.wait_s = 0.0  # that stands
        self._looks: deque[float] = deque([0.0] * LOOKS, LOOKS)
        self._due = 0.0  # refusals that are owed

    def seen(self, wait_s: float) -> None:
        """Who has waited longest of all calls that nobody looked at yet came so long ago."""
        self._looks.append(wait_s)
        before_s, self.wait_s = self.wait_s, min(self._looks)
        if self.wait_s < TARGET_S / 2:
            self.share = FALL * self.share if self.share > LEAST else 0.0
            return
        step = TOWARDS * (self.wait_s - TARGET_S) + AHEAD * (self.wait_s - before_s)
        self.share = min(MOST, max(0.0, self.share + max(-STEP, min(step, STEP))))

    def next_is_refused(self) -> bool:
        """Whether it is the next query's turn to be refused."""
        self._due = min(self._due + self.share, 1.0 + self.share) if self.share else 0.0
        return self._due >= 1.0

    def refused(self) -> None:
        """It was."""
        self._due -= 1.0
