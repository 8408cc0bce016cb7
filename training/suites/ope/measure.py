"""Many logs of one size and exploration: what every estimator says of each, next to the truth.

bias, rmse   points, over all logs       coverage, width  of the 95 % interval (width in points), over those not refused
refused      share of logs on which the estimator says that it knows too little
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from training.figures.spread import Spread
from training.off_policy import ESTIMATORS
from training.off_policy.doubly_robust import corrected
from training.off_policy.estimate import estimator_called, from_scores
from training.off_policy.logged import Floats
from training.off_policy.reward_model import Fits
from training.off_policy.weights import importance, weigh
from training.suites.ope.log import draw_log, explored, one_hot
from training.suites.ope.world import World

BOUND = "bound"
POINTS = 100


@dataclass(frozen=True, slots=True)
class Said:
    """What one estimator said of every log, in points, the truth taken off; (runs,) each."""

    error: Floats = field(compare=False)
    lo: Floats = field(compare=False)
    hi: Floats = field(compare=False)
    refused: Floats = field(compare=False)  # 0 or 1

    @classmethod
    def joined(cls, parts: Sequence[Said]) -> Said:
        """Of several batches of runs."""
        return cls(
            *(
                np.concatenate([getattr(part, name) for part in parts])
                for name in ("error", "lo", "hi", "refused")
            )
        )

    @property
    def rmse(self) -> float:
        """Points."""
        return math.sqrt(float(np.mean(self.error**2)))


def play(world: World, bound: Floats, epsilon: float, n: int, runs: range, seed: int) -> dict[str, Said]:
    """Estimator -> what it said; `bound` (N, B): the model of full information. Each run has its own generator."""
    width = len(world.backends)
    logging = explored(one_hot(world.base, width), epsilon)
    everywhere = one_hot(world.target, width)
    built = {name: estimator_called(name) for name in ESTIMATORS}
    said: dict[str, list[tuple[float, float, float, float]]] = {name: [] for name in (*built, BOUND)}
    truth = world.truth
    for run in runs:
        rng = np.random.default_rng([seed, n, round(1000 * epsilon), run])
        drawn = draw_log(world, logging, n, rng)
        logged, target = drawn.logged, everywhere[drawn.query]
        fits, weights = Fits(logged, logged.reward), weigh(logged, target)
        for name, estimator in built.items():
            found = from_scores(logged, estimator.scores(logged, logged.reward, target, fits), weights)
            said[name].append(
                (found.value - truth, found.lo - truth, found.hi - truth, float(bool(found.refused)))
            )
        known = corrected(logged, logged.reward, target, bound[drawn.query], importance(logged, target))
        error = float(known.mean()) - truth
        said[BOUND].append((error, error, error, 0.0))
    return {name: _said(rows) for name, rows in said.items()}


def _said(rows: list[tuple[float, float, float, float]]) -> Said:
    error, lo, hi, refused = np.array(rows).T
    return Said(POINTS * error, POINTS * lo, POINTS * hi, refused)


def figures(said: Said, n: int) -> dict[str, Spread | float]:
    """Of one estimator at one size, each named `…@n`."""
    found: dict[str, Spread | float] = {
        f"bias@{n}": over_runs(said.error),
        f"rmse@{n}": said.rmse,
        f"refused@{n}": float(said.refused.mean()),
    }
    kept = said.refused == 0
    if kept.any():
        lo, hi = said.lo[kept], said.hi[kept]
        found[f"coverage@{n}"] = over_runs(((lo <= 0) & (hi >= 0)).astype(np.float64))
        found[f"width@{n}"] = over_runs(hi - lo)
    return found


def over_runs(values: Floats) -> Spread:
    """Mean and its normal 95 % interval over independent runs."""
    mean, sd = float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else 0.0
    half = 1.96 * sd / math.sqrt(len(values))
    return Spread(mean, sd, mean - half, mean + half)


def over_bound(said: Mapping[str, Said], name: str) -> float:
    """RMSE over that of the doubly robust estimator with full information, on the same logs."""
    return said[name].rmse / said[BOUND].rmse
