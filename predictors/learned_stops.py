"""What was learned for rules that stop: weights over votes, and what a model's word about its own sample is worth.

Kept as numbers; the rules that they are for are the router's. Weights hold for a backend and a number of samples, a
calibration for a backend and the question that it was asked, belief in what samples say for themselves for a backend.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from predictors.errors import BundleError


@dataclass(frozen=True, slots=True)
class VoteStop:
    """Going on from a set of votes gains features @ weights; at most `least` does not pay."""

    backend: str
    most: int  # samples of the stage
    weights: tuple[float, ...]
    least: float  # quality


@dataclass(frozen=True, slots=True)
class SelfEvalCurve:
    """P(starting over would not be better) = 1 / (1 + exp(-(shift + slope x log-odds of what the model says)))."""

    backend: str
    words: str  # the question
    slope: float  # > 0
    shift: float


@dataclass(frozen=True, slots=True)
class LearnedStops:
    """All of a bundle."""

    votes: tuple[VoteStop, ...] = ()
    asked: tuple[SelfEvalCurve, ...] = ()
    believed: tuple[tuple[str, float], ...] = ()  # backend, share of its samples' evidence: (0, 1]

    def belief(self, backend: str) -> float:
        """How much of what the backend's samples say for themselves is believed, [0, 1]; 0: nothing was learned."""
        return dict(self.believed).get(backend, 0.0)

    def vote_stop(self, backend: str, most: int) -> VoteStop | None:
        """Of stages with so many samples; None: none was learned, or it was no better than what needs no weights."""
        return next((one for one in self.votes if (one.backend, one.most) == (backend, most)), None)

    def self_eval(self, backend: str, words: str) -> SelfEvalCurve | None:
        """Of the question."""
        return next((one for one in self.asked if (one.backend, one.words) == (backend, words)), None)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What was learned; empty where there is nothing."""
        found: dict[str, NDArray[Any]] = {}
        if self.votes:
            found["votes_of"] = np.array([one.backend for one in self.votes])
            found["votes"] = np.array([(one.most, one.least, *one.weights) for one in self.votes], np.float64)
        if self.asked:
            found["asked_of"] = np.array([(one.backend, one.words) for one in self.asked])
            found["asked"] = np.array([(one.slope, one.shift) for one in self.asked], np.float64)
        if self.believed:
            found["believed_of"] = np.array([backend for backend, _ in self.believed])
            found["believed"] = np.array([share for _, share in self.believed], np.float64)
        return found

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The inverse of `arrays`; raises `BundleError` for what does not fit."""
        names, votes = arrays.get("votes_of", np.zeros(0, "U1")), arrays.get("votes", np.zeros((0, 3)))
        asked_of, asked = (
            arrays.get("asked_of", np.zeros((0, 2), "U1")),
            arrays.get("asked", np.zeros((0, 2))),
        )
        believed_of, believed = (
            arrays.get("believed_of", np.zeros(0, "U1")),
            arrays.get("believed", np.zeros(0)),
        )
        fit = votes.ndim == 2 and votes.shape[1] > 2 and names.shape == (len(votes),)
        fit = fit and asked.shape == asked_of.shape == (len(asked), 2)
        fit = fit and believed.ndim == 1 and believed.shape == believed_of.shape
        if not fit or {names.dtype.kind, asked_of.dtype.kind, believed_of.dtype.kind} != {"U"}:
            raise BundleError(
                f"learned stops: {votes.shape} for {names.shape}, {asked.shape} for {asked_of.shape} and "
                f"{believed.shape} for {believed_of.shape} do not fit"
            )
        if not ((believed > 0) & (believed <= 1)).all():
            raise BundleError(f"learned stops: a share of evidence outside (0, 1]: {believed.tolist()}")
        if not (np.isfinite(votes).all() and np.isfinite(asked).all() and (asked[:, 0] > 0).all()):
            raise BundleError("learned stops: numbers that are not finite, or a slope that is not above 0")
        return cls(
            tuple(
                VoteStop(name, int(row[0]), tuple(row[2:]), row[1])
                for name, row in zip(names.tolist(), votes.tolist(), strict=True)
            ),
            tuple(
                SelfEvalCurve(name, words, slope, shift)
                for (name, words), (slope, shift) in zip(asked_of.tolist(), asked.tolist(), strict=True)
            ),
            tuple(zip(believed_of.tolist(), believed.tolist(), strict=True)),
        )
