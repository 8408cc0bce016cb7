"""The text that is most like all the others."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from predictors.observation import Sample, Signals, Tally
from router.selectors import Selection, Selector

WIDTH = 4096  # columns that words and pairs of words are hashed into
READ = 2000  # characters from either end of a text
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Medoid(Selector):
    """By mean similarity to the other samples' texts, the highest first: minimum Bayes risk over the samples.

    Kumar & Byrne (2004), with the cosine of word and word-pair counts (their square roots) as the gain; of equals the
    earliest. The confidence is the winner's mean similarity, not a probability of being right. Linear in the samples:
    the mean of cosines is a cosine with the sum. Fails where most samples are wrong in the same words, where one number
    in a long text is what matters, and with two samples, which are equally like each other.
    """

    def select(self, samples: Sequence[Sample], tally: Tally, signals: Signals) -> Selection:
        """The most central first."""
        if len(samples) == 1:
            return Selection(tuple(samples), signals.get(f"sample_confidence/{samples[0].sample_id}"))
        rows = np.stack([direction(sample.text or sample.answer or "") for sample in samples])  # (n, WIDTH)
        own = np.einsum("nw,nw->n", rows, rows)
        likeness = (rows @ rows.sum(axis=0) - own) / (len(samples) - 1)  # (n,)
        order = np.argsort(-np.round(likeness, 9), kind="stable")
        confidence = float(min(1.0, max(0.0, likeness[order[0]])))
        return Selection(tuple(samples[int(index)] for index in order), confidence)


def direction(text: str) -> NDArray[np.float64]:
    """A unit vector of the text's words and pairs of words, shape (WIDTH,); 0 for a text without words."""
    read = text if len(text) <= 2 * READ else f"{text[:READ]} {text[-READ:]}"
    words = _WORD.findall(read.casefold())
    pieces = words + [f"{one} {other}" for one, other in pairwise(words)]
    columns = [zlib.crc32(piece.encode("utf-8", "surrogatepass")) % WIDTH for piece in pieces]
    row = np.sqrt(np.bincount(columns, minlength=WIDTH).astype(float))
    length = float(np.linalg.norm(row))
    return np.asarray(row / length) if length else row
