"""How one query is to be handled, besides what it asks: mode, exploration, what is kept, what is told on the way."""

from __future__ import annotations

from dataclasses import dataclass

from router.domain.decision import Keep, Mode
from router.domain.query_trace import Trace


@dataclass(frozen=True, slots=True)
class Options:
    """Set by the door that the query came through."""

    mode: Mode | None = None  # None: as configured for the tenant and share; never cleverer than that
    explore: bool = True  # False: the most probable plan
    keep: Keep | None = None  # None: as configured; never more than that
    stream: bool = False  # AnswerDelta as soon as the plan commits
    tell: bool = False  # Delta, SampleEnded and Judged for every sample
    time_left_s: float | None = None  # until the caller's deadline
    advised: bool = False  # the caller draws the samples, so that they say nothing about our backends
    price: float = 0.0  # quality per dollar, at least: what compute costs a batch
    trace: Trace | None = None  # None: this query is not traced
