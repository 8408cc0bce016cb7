"""What is known of a backend's traces: what to expect at a look, and from which safety on a promised risk is kept.

The losses of stopping at the first look that is at least as safe as a threshold were counted on held-out traces along
a fixed grid; the walk from the safest down ends before the first threshold whose exact binomial upper bound passes the
risk (`predictors.risk_curve`). When it fails: at drift, and where looks are much denser than those it was fitted on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from predictors.errors import BundleError
from predictors.exit_features import BEFORE_TEXT, NAMES, Look, exit_features
from predictors.exit_head import ExitHead
from predictors.exit_text import written
from predictors.observation import Observation, Sample
from predictors.packing import packed, unpacked
from predictors.risk_curve import ETA, STEPS, losses_allowed

GRID = 1.0 - np.arange(STEPS + 1) / STEPS


@dataclass(frozen=True, slots=True)
class Exits:
    """Of one backend."""

    backend: str
    head: ExitHead
    usual: float  # tokens of a whole trace, mean
    count: int  # held-out traces behind `losses`
    losses: NDArray[np.int64] = field(compare=False)  # (STEPS + 1,) at `safe_to_stop` >= 1 - step / STEPS

    def signals(self, seen: Observation, latest: Sample) -> dict[str, float]:
        """What stopping the latest sample of `seen`, which grows, would mean; nothing before the first look."""
        looks = [look_of(sample) for sample in seen.trace(latest.sample_id)]
        if not looks:
            return {}
        # looks are kept without their texts: that of the latest is with the samples
        looks[-1] = looks[-1]._replace(written=written(latest.reasoning + latest.text, latest.answer))
        row = np.array(exit_features(looks)[: self.head.width], dtype=np.float32)
        safe, right, gain, left = self.head.at(row, float(looks[-1].tokens))
        name = latest.sample_id
        return {
            f"safe_to_stop/{name}": safe,
            f"right_now/{name}": right,
            f"gain_left/{name}": gain,
            f"tokens_left/{name}": left,
            f"trace_tokens/{latest.backend}": self.usual,
        }

    def threshold(self, risk: float, eta: float = ETA) -> float | None:
        """The least safety at which traces may be stopped; None where none keeps the promise."""
        over = np.flatnonzero(self.losses > losses_allowed(self.count, risk, eta))
        step = STEPS if not len(over) else int(over[0]) - 1
        return None if step < 0 else float(GRID[step])

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What was learned."""
        numbers = np.array([self.usual, float(self.count)])
        return packed({"head": self.head.arrays(), "own": {"numbers": numbers, "losses": self.losses}})

    @classmethod
    def from_arrays(cls, backend: str, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The inverse of `arrays`; raises `BundleError` for what does not fit."""
        own, head = unpacked(arrays, "own"), ExitHead.from_arrays(unpacked(arrays, "head"))
        if head.width not in (BEFORE_TEXT, len(NAMES)):
            raise BundleError(f"exits of {backend!r}: fitted on {head.width} features, not {len(NAMES)}")
        numbers, losses = own.get("numbers"), own.get("losses")
        if numbers is None or losses is None or numbers.shape != (2,) or losses.shape != (STEPS + 1,):
            raise BundleError(f"exits of {backend!r}: numbers or losses are not there or do not fit")
        return cls(backend, head, float(numbers[0]), int(numbers[1]), losses)


def look_of(sample: Sample) -> Look:
    """A look of the allocator's as the features want it."""
    return Look(
        sample.prefix_tokens or sample.tokens_out,
        sample.answer_class,
        sample.confidence,
        sample.mean_logprob,
        sample.first_entropy,
    )


def counted_losses(score: NDArray[np.float64], harmed: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Losses along `GRID` of stopping at the first look with at least so much safety.

    `score` (n, L), NaN where there is no look; `harmed` (n, L): stopping there is wrong, the end is right.
    """
    found = []
    for least in GRID:
        with np.errstate(invalid="ignore"):
            stops = score >= least
        first = np.argmax(stops, axis=1)
        found.append(int((stops.any(axis=1) & harmed[np.arange(len(score)), first]).sum()))
    return np.array(found, dtype=np.int64)


def exits_of(several: Sequence[Exits], backend: str) -> Exits | None:
    """Those of a backend."""
    return next((one for one in several if one.backend == backend), None)
