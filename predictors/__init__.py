"""How likely is this right, and what will it cost?

`Predictor` is the contract of one learner (linear, trees, …): numbers in, expected target out. To add one, write a
module here and give it a line in `PREDICTORS`. `Predictions` is what the router sees: everything learned, behind two
methods. This package imports nothing of the router.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, Self, runtime_checkable

from predictors.observation import Observation, Query, Signals

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@runtime_checkable
class Predictor(Protocol):
    """One learner of E[target | features]. Built with no arguments; every option has a default."""

    def fit(
        self, x: NDArray[np.float32], y: NDArray[np.float64], weight: NDArray[np.float64], seed: int
    ) -> Self:
        """Learn from `x` (n, d), finite; `y` (n,) in [0, 1]; `weight` (n,) > 0. Returns self. Raises `FitError`."""
        ...

    def predict(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """The expected target of each row, shape (n,), in [0, 1]; thread-safe."""
        ...

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What was learned, as plain arrays (no object dtype): all that a bundle keeps."""
        ...

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The inverse of `arrays`: predicts bit for bit the same. Raises `BundleError` for what does not fit."""
        ...


@dataclass(frozen=True, slots=True)
class Look:
    """The first look at a query: its signals and the features they were computed from."""

    signals: Signals = field(default_factory=dict)
    features: NDArray[np.float32] | None = field(default=None, compare=False)  # shape (d,)


class Predictions(Protocol):
    """Everything learned. Signals are named `<what>/<backend or plan>`; the router treats a missing one as unknown.

    p_correct/B        P(one sample of backend B is right), calibrated
    p_two_correct/B    P(two samples of B are both right)
    reward/B           E[reward of one sample of B], from P(right) and the gains: what backends are compared by
    gain/A/B           E[reward of A - reward of B], in [-1, 1]
    tokens_out/B       expected output tokens of one sample of B
    plan_quality/P     expected reward of plan P; plan_samples/P/I expected samples of its I-th stage (0 if not reached)
    p_right_state/B    P(B is right), p_agree/B: P(two samples of B agree), from the prompt's hidden state, once known
    sample_confidence  P(the latest sample's answer is right), calibrated; the same under sample_confidence/<sample_id>
    evidence/<sample_id>  log of how much likelier such a sample is if right, judged as the only one, so far as believed
    """

    @property
    def version(self) -> str:
        """Names what was learned; "" for what was not trained."""
        ...

    def look(self, query: Query) -> Look:
        """Features once, all heads in one batch. Must not block or do I/O."""
        ...

    def confidence(self, seen: Observation, look: Look) -> Signals:
        """Signals about what came back, after the latest sample of `seen`. Must not block or do I/O."""
        ...


PREDICTORS = {
    "linear": "predictors.linear:Linear",
    "lightgbm": "predictors.trees:Trees",
    "net": "predictors.small_net:SmallNet",
}
