"""Stop after as many samples as this query needs, which a pessimistic guess of its pass rate says beforehand."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import ceil, log
from typing import ClassVar

from scipy.special import betaincinv

from predictors.observation import Observation, Signals
from predictors.pass_rate import PRIOR_RHO, pass_rate
from router.domain.verdict import ENOUGH, MORE, Verdict
from router.errors import ConfigError
from router.stopping import StoppingRule

LOWEST = 1e-4  # a pass rate; what is below asks for more samples than anybody draws


@dataclass(frozen=True, slots=True)
class InstanceAdaptive(StoppingRule):
    """ENOUGH after n = ceil(log(1 - C) / log(1 - p)) samples: then one of them is right with probability C.

    Instance-adaptive scaling (IAS, Park et al. 2025): C is `coverage`, p the lower `quantile` of the calibrated pass
    rate: the signal `pass_rate_low/<backend>` where a predictor gives it, else that quantile of the Beta distribution
    with the moments `p_correct/<backend>` and `p_two_correct/<backend>`. Needs one answer at least. Without a
    prediction it says MORE. Fails with a selector that does not find the right one among the n (it counts on a
    verifier), and it looks at nothing that comes back: ten equal answers do not stop it early.
    """

    coverage: float = 0.9  # C, (0, 1)
    quantile: float = 0.1  # (0, 1)

    reads_content: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 < self.coverage < 1:
            raise ConfigError(f"instance_adaptive: coverage must lie between 0 and 1, got {self.coverage}")
        if not 0 < self.quantile < 1:
            raise ConfigError(f"instance_adaptive: quantile must lie between 0 and 1, got {self.quantile}")

    def verdict(self, seen: Observation, signals: Signals) -> Verdict:
        """ENOUGH after n samples."""
        latest = seen.latest
        if latest is None or not seen.tally.counts:
            return MORE
        backend = latest.backend
        low = signals.get(f"pass_rate_low/{backend}")
        if low is None:
            right = signals.get(f"p_correct/{backend}")
            if right is None:
                return MORE
            low = lower_pass_rate(
                round(right, 4), round(signals.get(f"p_two_correct/{backend}", -1.0), 4), self.quantile
            )
        return ENOUGH if seen.tally.drawn >= samples_needed(low, self.coverage) else MORE


def samples_needed(pass_rate_low: float, coverage: float) -> int:
    """The fewest samples of which one is right with probability `coverage` in (0, 1).

    >>> samples_needed(0.5, 0.9), samples_needed(1.0, 0.9)
    (4, 1)
    """
    p = min(max(pass_rate_low, LOWEST), 1 - 1e-12)
    return max(1, ceil(log(1 - coverage) / log(1 - p) - 1e-9))


@lru_cache(maxsize=4_096)
def lower_pass_rate(m1: float, m2: float, quantile: float) -> float:
    """The quantile of the pass rate's Beta distribution; m2 below 0: not known, as if samples were much alike."""
    known = m2 if m2 >= 0 else m1 * m1 + PRIOR_RHO * (m1 - m1 * m1)
    rate = pass_rate(m1, known)
    return float(betaincinv(rate.a, rate.b, quantile))
