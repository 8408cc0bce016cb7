"""The words and word pairs of an answer as hashed buckets, with every number masked.

"20 x 4 = 80 sheep" and "7 x 3 = 21 days" share "0 x", "x 0" and "= 0": how a text goes about its answer is kept, what
it is about mostly stays with the query's own n-grams. When it fails: answers that are a number alone, all alike here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from predictors.hashing import NgramHasher
from predictors.sample_features import HALF, ends_of

BITS = 16  # 2**BITS buckets
_DIGITS = re.compile(r"\d[\d,]*")


@dataclass(frozen=True, slots=True)
class AnswerWords:
    """Made once; thread-safe."""

    hasher: NgramHasher = field(
        default_factory=lambda: NgramHasher(BITS, (), 2 * HALF * 4 + 8),  # UTF-8: at most 4 bytes each
        compare=False,
        repr=False,
    )

    def __call__(self, text: str) -> NDArray[np.int64]:
        """Sorted distinct buckets of the text's ends, shape (k,)."""
        return self.hasher.buckets(_DIGITS.sub("0", ends_of(text).lower()).split())
