"""A canary by share, watched reply by reply: roll back, accept, or keep going, valid however often one looks.

Every query goes to the candidate with probability `share`. From its reward r in [0, 1],
    y = (z - share) / (share (1 - share)) (r - m),   z = 1 for the candidate, m the mean reward before this query
has the mean of the difference in reward whatever came before, and is bounded. Two bettors (Waudby-Smith & Ramdas 2024)
each begin with 1 and stake a part of what they have on every y: one that the difference is below -tolerance, the other
that it is above. Against the truth a bettor's capital is a supermartingale, so that it ever reaches 1/alpha with
probability alpha at most (Ville 1939): no schedule of looks is needed and none is paid for. Stakes follow the mean and
variance so far. The same watches failures (r = 1 - failed) and lateness. When it fails: rewards that come late only
count when they come, and those that never come for bad replies are not seen; a canary of 1 % learns slowly (the bound
of y is 1/share).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import Enum
from typing import Any

from training.errors import TrainingError

MOST_STAKED = 0.5  # of the largest stake that cannot lose everything
PRIOR_ROWS = 20.0  # of a difference of 0 at the variance of a coin


class Advice(Enum):
    """What to do with a canary."""

    ROLL_BACK = "roll back"  # it is worse by more than is tolerated
    KEEP_GOING = "keep going"
    ACCEPT = "accept"  # it is not worse by more than is tolerated


@dataclass(frozen=True, slots=True)
class CanaryTest:
    """What is tolerated, and with which certainty it is said."""

    share: float = 0.1  # of the queries that go to the candidate
    tolerance: float = 0.02  # reward that the candidate may be worse
    alpha: float = 0.05  # chance of a wrong rollback, and of a wrong acceptance

    def __post_init__(self) -> None:
        if not (0 < self.share < 1 and 0 <= self.tolerance < 1 and 0 < self.alpha < 1):
            raise TrainingError(
                f"canary: share and alpha must be in (0, 1), tolerance in [0, 1), got "
                f"{self.share:g}, {self.alpha:g}, {self.tolerance:g}"
            )

    def watch(self, seen: CanaryState, candidate: bool, reward: float) -> CanaryState:
        """After one more reward; once advice is given further ones change nothing.

        Raises `TrainingError` for a reward outside [0, 1].
        """
        if not 0 <= reward <= 1:  # NaN too
            raise TrainingError(f"canary: a reward must be in [0, 1], got {reward}")
        if self.advice(seen) is not Advice.KEEP_GOING:
            return seen
        spread = 1 / (self.share * (1 - self.share))
        level = (seen.rewards + 0.5) / (seen.rows + 1)
        y = (float(candidate) - self.share) * spread * (reward - level)
        off = y + self.tolerance  # of mean 0 where the candidate is worse by exactly what is tolerated
        rows = PRIOR_ROWS + seen.rows
        mean, variance = seen.sum / rows, (seen.squares + PRIOR_ROWS * 0.25 * spread) / rows
        bound = max(1 / self.share, 1 / (1 - self.share)) + self.tolerance  # of |off|
        stake = max(-MOST_STAKED / bound, min(MOST_STAKED / bound, mean / variance))
        better = seen.log_better + math.log1p(max(stake, 0.0) * off)
        worse = seen.log_worse + math.log1p(min(stake, 0.0) * off)
        return replace(
            seen,
            rows=seen.rows + 1,
            candidate_rows=seen.candidate_rows + candidate,
            rewards=seen.rewards + reward,
            sum=seen.sum + off,
            squares=seen.squares + (off - mean) ** 2,
            log_better=better,
            log_worse=worse,
        )

    def advice(self, seen: CanaryState) -> Advice:
        """What the rewards so far say."""
        enough = -math.log(self.alpha)
        if seen.log_worse >= enough:
            return Advice.ROLL_BACK
        return Advice.ACCEPT if seen.log_better >= enough else Advice.KEEP_GOING

    def difference(self, seen: CanaryState) -> float:
        """The candidate's mean reward minus the incumbent's, as estimated so far; 0 before the first."""
        return seen.sum / seen.rows - self.tolerance if seen.rows else 0.0


@dataclass(frozen=True, slots=True)
class CanaryState:
    """What the test remembers: a small JSON object. Capitals are logarithms."""

    rows: int = 0
    candidate_rows: int = 0
    rewards: float = 0.0  # their sum, of both
    sum: float = 0.0  # of y + tolerance
    squares: float = 0.0
    log_better: float = 0.0
    log_worse: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """What is kept."""
        return asdict(self)

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> CanaryState:
        """Raises `TrainingError` for what is no such object."""
        wanted = cls.__dataclass_fields__
        if set(kept) != set(wanted):
            raise TrainingError(f"canary: expected the keys {', '.join(wanted)}, got {', '.join(kept)}")
        return cls(**{name: type(getattr(cls(), name))(kept[name]) for name in wanted})
