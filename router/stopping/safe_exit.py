"""End a trace once stopping is safe enough."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import inf
from typing import ClassVar

from predictors.observation import Observation, Signals
from router.domain.growth import Growth
from router.domain.plan import LATER
from router.domain.verdict import ENOUGH, MORE, Verdict
from router.errors import ConfigError
from router.stopping import StoppingRule

USUAL = 0.95  # the threshold where neither it nor a risk is given


@dataclass(frozen=True, slots=True)
class SafeExit(StoppingRule):
    """ENOUGH where `safe_to_stop/<sample_id>` of a growing sample with an answer reaches `threshold`.

    The signal is P(going on would not turn a wrong answer into a right one), told from the trace's looks
    (`predictors.exit_head`). With `risk` the threshold is the one that the bundle calibrated for it by Learn-then-Test
    (early exits with a bound on harm as in LYNX, 2025): at most this share of the stage's traces stops, is wrong, and
    would have been right at its end. Without a bundle, or where no threshold keeps the promise, it never stops. With
    `cues` it looks only where the text since the last check-point says one of them, such as the words of a conclusion
    (`router.domain.cues`), and the promise is about such looks. Fails where traces differ from those of the calibration
    (another model, other kinds of questions); beside a rule that looks at more, it judges at those looks as well.
    """

    threshold: float | None = None  # probability, [0, 1]; None: what follows from `risk`, else .95
    risk: float | None = None  # (0, 1)
    first: int = 0  # tokens before the first look, >= 0
    every: int = 64  # tokens between looks, >= 1
    cues: tuple[str, ...] = field(default=(), metadata=LATER)  # words that a look waits for; none: every look

    reads_content: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise ConfigError(f"safe_exit: threshold must lie in [0, 1], got {self.threshold}")
        if self.risk is not None and not 0 < self.risk < 1:
            raise ConfigError(f"safe_exit: risk must lie between 0 and 1, got {self.risk}")
        for name, least in (("first", 0), ("every", 1)):
            if getattr(self, name) < least:
                raise ConfigError(f"safe_exit: {name} must be at least {least}, got {getattr(self, name)}")
        if "" in self.cues:
            raise ConfigError("safe_exit: cues must not be empty words")

    @property
    def growth(self) -> Growth:
        """Tentative answers."""
        return Growth(self.first, self.every, cues=self.cues)

    @property
    def at_least(self) -> float:
        """The threshold in force; infinite where it never stops."""
        if self.threshold is not None:
            return self.threshold
        return USUAL if self.risk is None else inf

    def resolved(self, threshold: float | None) -> SafeExit:
        """The same rule with the threshold that its risk stands for; None: no threshold keeps it."""
        return replace(self, threshold=threshold)

    def verdict(self, seen: Observation, signals: Signals) -> Verdict:
        """ENOUGH at the threshold."""
        latest = seen.latest
        if latest is None or latest.finished or latest.answer_class is None:
            return MORE
        return ENOUGH if signals.get(f"safe_to_stop/{latest.sample_id}", -inf) >= self.at_least else MORE
