"""What samples say for themselves in one fold: P(right) of each as if it were the only one, and the evidence of that.

Samples of training queries are judged by heads that were fitted without their fold, those of test queries by the head
that was fitted on all training queries.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from training.alone_rows import alone_rows, judged_alone
from training.fit.evidence import belief_of, log_odds, models_of
from training.fit.heads import Fitted
from training.fit.rows import FitRows, rows_of
from training.suites.routing.learned import ids_of
from training.suites.routing.problem import Fold

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Said:
    """By row of the recording's columns, one more for "no row"; n queries, B backends."""

    alone: Floats = field(compare=False)  # (rows + 1,) P(right); NaN of backends that are not judged
    evidence: Floats = field(compare=False)  # (rows + 1,) what is believed of it, 0 where nothing
    models: Floats = field(compare=False)  # (n, B, 2) a and b of the pass rates


def what_samples_say(
    fold: Fold,
    fitted: Fitted,
    held_out: Mapping[str, Floats],
    signals: Mapping[str, Floats],
    places: Collection[int],
) -> Said | None:
    """Of the backends at `places`; `held_out` is said of training queries, `signals` of test queries.

    None where no head came of the fit.
    """
    if fitted.samples.head is None:
        return None
    recording, backends = fold.problem.recording, fold.problem.backends
    alone = np.full(len(recording.columns) + 1, np.nan)
    evidence = np.zeros(len(recording.columns) + 1)
    models = np.ones((len(fold.problem.queries), len(backends), 2))
    test_rows = rows_of([recording], ids_of(fold, fold.test))
    untouched = np.full(len(fold.test), -1)
    for place in places:
        name = backends[place]
        rho = float(fitted.bundle.rho[fitted.rows.backends.index(name)])
        believed = belief_of(fitted, name, fold.problem.seed)
        for queries, rows, expected, folds in (
            (fold.train, fitted.rows, held_out, fitted.folds),
            (fold.test, test_rows, signals, untouched),
        ):
            prior, tokens = expected[f"p_correct/{name}"], expected[f"tokens_out/{name}"]
            models[queries, place] = models_of(prior, rho)
            numbers = _of(rows, name)
            if not numbers:
                continue
            read = alone_rows(rows, numbers)
            at = [int(rows.samples[number].sample.sample_id) for number in numbers]
            alone[at] = judged_alone(read, fitted.samples, folds, prior, tokens)
            evidence[at] = believed * (log_odds(alone[at]) - log_odds(prior)[read.query])
    return Said(alone, evidence, models)


def _of(rows: FitRows, backend: str) -> list[int]:
    """Numbers of the backend's finished samples."""
    return [
        number
        for number, labelled in enumerate(rows.samples)
        if labelled.sample.backend == backend and labelled.sample.finished
    ]
