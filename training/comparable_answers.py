"""Whether a backend's answers can be compared at all: without it a vote is a lottery."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from router.answers import canonical
from router.recording import Recording

LEAST_ANSWERED = 0.5  # share of the samples
LEAST_AGREEING = 0.05  # share of the queries with two answers or more


def answer_groups(recording: Recording) -> NDArray[np.int32]:
    """One number per distinct canonical answer, by row of the columns; -1: none. Shape (rows,)."""
    number: dict[str, int] = {}
    codes = [number.setdefault(canonical(answer, "auto"), len(number)) for answer in recording.answers]
    return np.array([*codes, -1], dtype=np.int32)[recording.columns.answer]


def comparable(query: NDArray[Any], group: NDArray[np.int32]) -> bool:
    """Half of the samples have an answer, and on some queries two are equal; both (samples,), -1: no answer.

    Free text is never the same twice, whatever the rewards say; rewards are not looked at.
    """
    answered = group >= 0
    if not len(group) or answered.mean() < LEAST_ANSWERED:
        return False
    asked, answers = np.unique(query[answered], return_counts=True)
    several = asked[answers >= 2]
    if not len(several):
        return False
    pairs, times = np.unique(
        np.stack([query[answered].astype(np.int64), group[answered]], axis=1), axis=0, return_counts=True
    )
    agreeing = np.unique(pairs[times >= 2, 0])
    return bool(len(agreeing) / len(several) >= LEAST_AGREEING)
