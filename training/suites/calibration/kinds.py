"""Heads that are shown one kind of evidence only: the answer's text, or what the model said of its certainty."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from predictors import worked_numbers
from predictors.sample_features import FORM, NAMES, SAID
from router.recording import Recording
from training.fit.one_head import fit_on_rows
from training.sample_rows import SampleRows

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Kind:
    """What one subject may look at, besides which backend answered."""

    features: tuple[str, ...]  # of `sample_features.NAMES`
    words: bool  # the words of the answer


KINDS: Mapping[str, Kind] = {
    "text": Kind((*FORM, *worked_numbers.NAMES), words=True),
    "logprob": Kind((*SAID, "log_tokens_out", "tokens_known"), words=False),
}


def shown(recording: Recording) -> list[str]:
    """The kinds of evidence that the recording's finished samples have, in the table's order."""
    seen = recording.columns
    numbers = (seen.mean_logprob, seen.first_entropy, seen.confidence)
    there = {
        "text": bool((seen.answer >= 0).any())
        or any(recording.value(row, "text") for row in np.flatnonzero(seen.finished)[:200].tolist()),
        "logprob": any(bool(np.isfinite(column[seen.finished]).any()) for column in numbers),
    }
    return [name for name in KINDS if there[name]]


def predicted(
    kind: Kind, train: SampleRows, test: SampleRows, backends: tuple[str, ...], seed: int
) -> Floats:
    """P(right) of the test rows by a head fitted on this evidence alone, (m,)."""
    head = fit_on_rows(only(kind, train), backends, seed).head
    base = float(np.average(train.y, weights=train.weight))
    if head is None:
        return np.full(len(test), base)
    part = only(kind, test)
    return head.many(part.x, part.words, np.full(len(test), base))


def only(kind: Kind, rows: SampleRows) -> SampleRows:
    """The rows with the evidence of this kind alone; nothing is known before."""
    columns = [NAMES.index(name) for name in kind.features]
    columns += list(range(len(NAMES), rows.x.shape[1]))  # which backend
    base = float(np.average(rows.y, weights=rows.weight)) if len(rows) else 0.5
    nothing = np.zeros(0, dtype=np.int64)
    return replace(
        rows,
        x=rows.x[:, columns],
        words=rows.words if kind.words else (nothing,) * len(rows),
        prior=np.full(len(rows), base),
    )
