"""P(this sample is right), from the sample, the votes so far and what was expected of its backend.

One head for all backends, which are told apart by an indicator. A ridge on the words of the answer gives one more
feature; the head blends the prior (P(right) of the backend for this query), logistic regression and boosted trees, and
is calibrated on held-out queries. When it fails: an answer that is wrong in content alone, well written and with sums
that hold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from predictors.answer_words import AnswerWords
from predictors.calibration import Curve
from predictors.errors import BundleError
from predictors.hashed import HashedRidge
from predictors.linear import Linear
from predictors.observation import Sample, Tally
from predictors.packing import packed, unpacked
from predictors.sample_features import NAMES, sample_features
from predictors.trees import Trees

Floats = NDArray[np.float64]
MEMBERS = ("base", "prior", "linear", "trees")


def sample_row(
    backends: Sequence[str],
    sample: Sample,
    query_text: str,
    tally: Tally,
    position: int,
    prior: float,
    tokens: float,
) -> list[float]:
    """`sample_features` and an indicator of the backend (all 0 for one that was not fitted)."""
    numbers = sample_features(sample, query_text, tally, position, prior, tokens)
    numbers.extend(float(sample.backend == backend) for backend in backends)
    return numbers


@dataclass(frozen=True, slots=True)
class SampleHead:
    """The fitted head."""

    backends: tuple[str, ...]
    base: float  # mean reward of the samples it was fitted on
    blend: Floats = field(compare=False)  # (4,): weights of `MEMBERS`
    hashed: HashedRidge = field(compare=False)  # words of the answer -> P(right), one target
    linear: Linear = field(compare=False)
    trees: Trees | None = field(compare=False)
    curve: Curve = field(compare=False)
    words: AnswerWords = field(default_factory=AnswerWords, compare=False, repr=False)

    def predict(
        self, sample: Sample, query_text: str, tally: Tally, position: int, prior: float | None, tokens: float
    ) -> float:
        """The calibrated probability in [0, 1]; `prior` None: the base rate."""
        known = self.base if prior is None else prior
        raw = self.blend[0] * self.base + self.blend[1] * known
        if self.blend[2] > 0 or self.trees is not None:
            numbers = sample_row(self.backends, sample, query_text, tally, position, known, tokens)
            numbers.append(word_score(self.hashed, self.words(sample.text)))
            row = np.array(numbers, dtype=np.float32)
            if self.blend[2] > 0:
                raw += self.blend[2] * self.linear.predict(row[None])[0]
            if self.trees is not None:
                raw += self.blend[3] * self.trees.row(row)
        return float(self.curve(float(raw)))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What was learned."""
        parts: dict[str, Mapping[str, NDArray[Any]]] = {
            "head": {"base": np.array([self.base]), "blend": self.blend},
            "hashed": self.hashed.arrays(),
            "linear": self.linear.arrays(),
            "curve": self.curve.arrays(),
        }
        if self.trees is not None:
            parts["trees"] = self.trees.arrays()
        return packed(parts)

    @classmethod
    def from_arrays(cls, backends: tuple[str, ...], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The inverse of `arrays`; raises `BundleError` for what does not fit."""
        plain, tree = unpacked(arrays, "head"), unpacked(arrays, "trees")
        hashed = HashedRidge.from_arrays(unpacked(arrays, "hashed"))
        linear, curve = (
            Linear.from_arrays(unpacked(arrays, "linear")),
            Curve.from_arrays(unpacked(arrays, "curve")),
        )
        trees = Trees.from_arrays(tree) if tree else None
        width = len(NAMES) + len(backends) + 1
        if (
            len(linear.mean) != width
            or (trees is not None and trees.columns != width)
            or plain["blend"].shape != (len(MEMBERS),)
            or len(hashed.mean) != 1
        ):
            raise BundleError(f"sample head: {len(linear.mean)} features; {width} are expected")
        return cls(backends, float(plain["base"][0]), plain["blend"], hashed, linear, trees, curve)


def word_score(hashed: HashedRidge, buckets: NDArray[np.int64]) -> float:
    """What the words alone say, in [0, 1]."""
    return float(min(1.0, max(0.0, hashed.scores(buckets)[0])))
