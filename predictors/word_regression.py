"""P(a finished sample is right) from its features and its words at once: the sample head's linear member.

One logistic regression over both (`kinds_of_evidence`): with few labels it knows more of the words than their own
ridge, which tells it one number. When it fails: features that count only in combination; the head has trees for these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from predictors.answer_words import BITS
from predictors.errors import BundleError, FitError
from predictors.hashed import HashedRidge
from predictors.kinds_of_evidence import OF_FEATURE, Part, fit_kinds
from predictors.linear import check_rows, logistic
from predictors.packing import packed, unpacked

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class WordRegression:
    """The fitted regression."""

    row: Part = field(compare=False)  # of a sample's features
    words: HashedRidge = field(compare=False)  # of the answer; its mean is the intercept

    def many(self, x: NDArray[np.float32], words: Sequence[NDArray[np.int64]]) -> Floats:
        """P(right) of n samples, (n,): their rows (n, d) and the buckets of their words."""
        said = np.array([float(self.words.scores(buckets)[0]) for buckets in words])
        return logistic(said + self.row.margin(x))

    def one(self, row: NDArray[np.float32], buckets: NDArray[np.int64]) -> float:
        """The same for one sample's row (d,), to the last bit."""
        margin = float(self.words.scores(buckets)[0]) + self.row.of_one(row)
        return float(1 / (1 + np.exp(-min(max(margin, -30.0), 30.0))))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What was learned."""
        return packed({"row": self.row.arrays(), "words": self.words.arrays()})

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The inverse of `arrays`; raises `BundleError` for what does not fit."""
        row = Part.from_arrays(unpacked(arrays, "row"))
        try:
            words = HashedRidge.from_arrays(unpacked(arrays, "words"))
        except (KeyError, ValueError) as error:
            raise BundleError(f"word regression: its words cannot be read: {error}") from error
        if len(words.mean) != 1:
            raise BundleError(f"word regression: words say {len(words.mean)} numbers; 1 is expected")
        return cls(row, words)


def fit_word_regression(
    x: NDArray[np.float32], words: Sequence[NDArray[np.int64]], y: Floats, weight: Floats
) -> WordRegression:
    """Fit on n >= 2 samples: rows (n, d), buckets of their words, targets (n,) in [0, 1], weights (n,).

    Raises `FitError` for what does not fit together.
    """
    check_rows(x, y, weight)
    if len(words) != len(x):
        raise FitError(f"word regression: {len(x)} rows and {len(words)} texts")
    (row,), of_words = fit_kinds(((x, OF_FEATURE),), words, BITS, y, weight)
    return WordRegression(row, of_words)
