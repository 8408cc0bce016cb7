"""Finished samples as rows of numbers, each as if it were the only one of its query: read once, judged by many heads.

Reading a text takes longer than judging it, and what a head expects of a query enters one column alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from predictors.answer_words import AnswerWords
from predictors.sample_features import NAMES
from predictors.sample_head import as_alone, sample_row
from training.fit.one_head import SampleFit
from training.fit.rows import FitRows

Floats = NDArray[np.float64]
_OVER_EXPECTED = NAMES.index("tokens_over_expected")


@dataclass(frozen=True, slots=True)
class AloneRows:
    """m samples of n queries."""

    x: NDArray[np.float32] = field(compare=False)  # (m, d) `sample_row`, nothing expected
    words: tuple[NDArray[np.int64], ...] = field(compare=False)  # (m,) buckets of the answers' words
    query: NDArray[np.int64] = field(compare=False)  # (m,)
    spent: Floats = field(compare=False)  # (m,) tokens out, 0 where unknown

    def expecting(self, tokens: Floats) -> NDArray[np.float32]:
        """The rows where so many tokens (n,) are expected of each query: what `sample_row` gives for them."""
        found, each = self.x.copy(), tokens[self.query]
        known = (self.spent > 0) & (each > 1)
        over = np.maximum(self.spent, 1) / np.where(known, each, 1.0)
        found[:, _OVER_EXPECTED] = np.where(known, np.log(over), 0.0)
        return found


def alone_rows(rows: FitRows, numbers: Sequence[int]) -> AloneRows:
    """`rows.samples[numbers]`, finished ones, in this order."""
    x, words, query, spent, hashed = [], [], [], [], AnswerWords()
    for number in numbers:
        labelled = rows.samples[number]
        sample, tally = as_alone(labelled.sample)
        x.append(sample_row(rows.backends, sample, rows.texts[labelled.query], tally, 0, 0.0))
        words.append(hashed(sample.text))
        query.append(labelled.query)
        spent.append(float(sample.tokens_out))
    return AloneRows(np.array(x, np.float32), tuple(words), np.array(query, dtype=np.int64), np.array(spent))


def judged_alone(
    alone: AloneRows, samples: SampleFit, folds: NDArray[np.int64], prior: Floats, tokens: Floats
) -> Floats:
    """P(right) of each (m,), by the head without its query's fold; NaN where there is no head.

    `folds`, `prior` P(right), `tokens` expected, (n,) by query; a fold of -1: by the head fitted on all.
    """
    found = np.full(len(alone.query), np.nan)
    if samples.head is None:
        return found
    x, part_of, before = alone.expecting(tokens), folds[alone.query], prior[alone.query]
    for part in np.unique(part_of).tolist():
        mine = np.flatnonzero(part_of == part)
        head = samples.folds.get(part, samples.head)
        found[mine] = head.many(x[mine], [alone.words[at] for at in mine], before[mine])
    return found
