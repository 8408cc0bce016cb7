"""What is known of a backend's traces: what to expect at a look, and from which safety on a promised risk is kept.

The losses of stopping at the first look that is at least as safe as a threshold were counted on held-out traces along
a fixed grid; the walk from the safest down ends before the first threshold whose exact binomial upper bound passes the
risk (`predictors.risk_curve`). For a rule of a plan that was known they were counted where it looks. When it fails: at
drift, and for a rule that was not known and looks much closer than at what was counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from predictors.errors import BundleError
from predictors.exit_features import BEFORE_TEXT, NAMES, TraceLook, exit_features
from predictors.exit_head import ExitHead
from predictors.exit_text import written
from predictors.observation import Observation, Sample
from predictors.packing import packed, unpacked
from predictors.risk_curve import ETA, STEPS, losses_allowed

GRID = 1.0 - np.arange(STEPS + 1) / STEPS


class Looks(NamedTuple):
    """Where a rule looks at a trace."""

    first: int = 0  # tokens before the first check-point
    every: int = 1  # tokens between check-points
    cues: tuple[str, ...] = ()  # only where one was said since the last check-point; none: always

    @property
    def heard(self) -> frozenset[str]:
        """Equal for lists that hear the same."""
        return frozenset(map(str.casefold, self.cues))


EVERYWHERE = Looks()


@dataclass(frozen=True, slots=True)
class LossesAt:
    """What stopping cost at these looks."""

    looks: Looks
    losses: NDArray[np.int64] = field(compare=False)  # as `Exits.losses`, of the same traces


@dataclass(frozen=True, slots=True)
class Exits:
    """Of one backend."""

    backend: str
    head: ExitHead
    usual: float  # tokens of a whole trace, mean
    count: int  # held-out traces behind `losses`
    losses: NDArray[np.int64] = field(compare=False)  # (STEPS + 1,) at `safe_to_stop` >= 1 - step / STEPS
    at: tuple[LossesAt, ...] = field(default=(), compare=False)  # `losses`: looking everywhere

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

    def counted(self, looks: Looks) -> NDArray[np.int64] | None:
        """The losses at these looks or, where those were not counted, at closer ones with the same words."""
        alike = [one for one in self.at if one.looks.heard == looks.heard]
        same = (one.losses for one in alike if one.looks[:2] == looks[:2])
        closer = self.losses if not looks.cues else alike[0].losses if alike else None
        return next(same, closer)

    def threshold(self, risk: float, looks: Looks = EVERYWHERE, eta: float = ETA) -> float | None:
        """The least safety at which traces may be stopped by a rule that looks there.

        None where none keeps the promise, or nothing was counted for its words.
        """
        losses = self.counted(looks)
        if losses is None:
            return None
        over = np.flatnonzero(losses > losses_allowed(self.count, risk, eta))
        step = STEPS if not len(over) else int(over[0]) - 1
        return None if step < 0 else float(GRID[step])

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What was learned."""
        numbers = np.array([self.usual, float(self.count)])
        parts = {"head": self.head.arrays(), "own": {"numbers": numbers, "losses": self.losses}}
        for place, one in enumerate(self.at):
            cues, when = np.array(one.looks.cues, dtype=np.str_), np.array(one.looks[:2], np.int64)
            parts[f"at{place}"] = {"cues": cues, "when": when, "losses": one.losses}
        return packed(parts)

    @classmethod
    def from_arrays(cls, backend: str, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The inverse of `arrays`; raises `BundleError` for what does not fit."""
        own, head = unpacked(arrays, "own"), ExitHead.from_arrays(unpacked(arrays, "head"))
        if head.width not in (BEFORE_TEXT, len(NAMES)):
            raise BundleError(f"exits of {backend!r}: fitted on {head.width} features, not {len(NAMES)}")
        numbers, losses = own.get("numbers"), own.get("losses")
        if numbers is None or losses is None or numbers.shape != (2,) or losses.shape != (STEPS + 1,):
            raise BundleError(f"exits of {backend!r}: numbers or losses are not there or do not fit")
        at: list[LossesAt] = []
        while part := unpacked(arrays, f"at{len(at)}"):
            cues, when, lost = (part.get(name) for name in ("cues", "when", "losses"))
            if cues is None or cues.dtype.kind != "U" or cues.ndim != 1 or when is None or when.shape != (2,):
                raise BundleError(f"exits of {backend!r}: it is not said for which looks losses were counted")
            looks = Looks(int(when[0]), int(when[1]), tuple(cues.tolist()))
            if lost is None or lost.shape != (STEPS + 1,):
                raise BundleError(f"exits of {backend!r}: the losses for {looks} do not fit")
            at.append(LossesAt(looks, lost))
        return cls(backend, head, float(numbers[0]), int(numbers[1]), losses, tuple(at))


def look_of(sample: Sample) -> TraceLook:
    """A look of the allocator's as the features want it."""
    return TraceLook(
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
