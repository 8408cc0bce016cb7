"""Give a stage up when nothing that it says looks right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from predictors.observation import Observation, Signals
from predictors.pass_rate import PRIOR_RHO, Beta, pass_rate, posterior
from router.domain.verdict import ESCALATE, MORE, Verdict
from router.errors import ConfigError
from router.stopping import StoppingRule


@dataclass(frozen=True, slots=True)
class Hopeless(StoppingRule):
    """ESCALATE where no two of `samples` answers agree, or where the pass rate's posterior is below `pass_rate`.

    The posterior: Beta(a, b) with the moments `p_correct/<backend>` and `p_two_correct/<backend>` (uniform where they
    are not known), updated by each sample with the part of it that is right, its `sample_confidence`; its mean is held
    against `pass_rate`. Without confidences only disagreement speaks. In the last stage of a plan it ends the plan as
    `exhausted`. Fails on free text, where right answers do not agree either, and with confidences that are not
    calibrated: it gives up what a few more samples would have found.
    """

    samples: int = 5  # finished samples of the stage before it speaks, >= 2
    pass_rate: float = 0.1  # [0, 1)

    reads_content: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.samples < 2:
            raise ConfigError(f"hopeless: samples must be at least 2, got {self.samples}")
        if not 0 <= self.pass_rate < 1:
            raise ConfigError(f"hopeless: pass_rate must be in [0, 1), got {self.pass_rate}")

    def verdict(self, seen: Observation, signals: Signals) -> Verdict:
        """ESCALATE where it is hopeless."""
        if seen.tally.drawn < self.samples:
            return MORE
        if max(seen.tally.counts, default=0) < 2:
            return ESCALATE
        known = [
            signals[key]
            for sample in seen.stage_samples
            if (key := f"sample_confidence/{sample.sample_id}") in signals
        ]
        if not known:
            return MORE
        right = sum(known)
        rate = posterior(_prior(seen.samples[-1].backend, signals), right, len(known) - right)
        return ESCALATE if rate.mean < self.pass_rate else MORE


def _prior(backend: str, signals: Signals) -> Beta:
    m1 = signals.get(f"p_correct/{backend}")
    if m1 is None:
        return Beta(1.0, 1.0)
    return pass_rate(m1, signals.get(f"p_two_correct/{backend}", m1 * m1 + PRIOR_RHO * (m1 - m1 * m1)))
