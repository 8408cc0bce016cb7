"""The confidence in one sample of a backend as the first of its stage, as the allocator would see it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.fit.heads import Fitted

Floats = NDArray[np.float64]


def held_out_first_looks(fitted: Fitted, most: int) -> tuple[Floats, Floats]:
    """Confidence and reward of one sample of each query and backend, both (n, B), NaN where there is none.

    Heads are those fitted without the query's fold. At most `most` queries, drawn by the fit's seed, have any.
    """
    rows, bundle = fitted.rows, fitted.bundle
    n, width = rows.reward.shape
    confidence, reward = np.full((n, width), np.nan), np.full((n, width), np.nan)
    if not fitted.samples.folds:
        return confidence, reward
    chosen = np.zeros(n, dtype=np.bool_)
    chosen[np.random.default_rng(bundle.card.seed).permutation(n)[:most]] = True
    number = {name: place for place, name in enumerate(rows.backends)}
    for labelled in rows.samples:
        query, place = labelled.query, number[labelled.sample.backend]
        head = fitted.samples.folds.get(int(fitted.folds[query]))
        if (
            not chosen[query]
            or head is None
            or not labelled.sample.finished
            or np.isfinite(reward[query, place])
        ):
            continue
        prior = float(fitted.query.held_out[query, place])
        confidence[query, place] = head.alone(
            labelled.sample, rows.texts[query], prior, float(fitted.tokens[query, place])
        )
        reward[query, place] = labelled.reward
    return confidence, reward
