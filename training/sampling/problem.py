"""The sampling problem of one backend: its queries with N samples or more, and orders in which they may arrive.

Orders and splits come from the seed and the recording alone, so that every figure can be computed again from them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import ceil

import numpy as np
from numpy.typing import NDArray

from router.answers import canonical
from router.recording import Recording
from router.recordings.text_split import split_by_text

LEAST_SAMPLES = 4  # of a query, for votes to be worth stopping
LEAST_QUERIES = 60
SPLITS = 50
REFERENCE_SHARE = 0.8  # of N
TUNING, MEASURED = 0, 1  # halves of a split
NO_VOTE = -1
NO_ROW = -1


@dataclass(frozen=True, slots=True)
class Problem:
    """n queries with at least N labelled samples of one backend."""

    recording: Recording
    backend: str
    seed: int
    most: int  # N
    queries: NDArray[np.int32] = field(compare=False)  # (n,) index into Recording.queries
    # (n, K) rows of the columns, `NO_ROW` after a query's last
    rows: NDArray[np.int64] = field(compare=False)
    have: NDArray[np.int64] = field(compare=False)  # (n,) samples, N at least
    left_out: int  # queries with fewer labelled samples

    @property
    def reference(self) -> int:
        """How many samples the reference majority has."""
        return reference_of(self.most)

    @property
    def texts(self) -> list[str]:
        """The queries' texts."""
        return [self.recording.queries[place].query for place in self.queries]

    @property
    def votes(self) -> bool:
        """Whether any sample has an answer: without, no majority is right, and nothing is lost by stopping at once."""
        return bool((self.recording.columns.answer[self.rows[self.rows != NO_ROW]] >= 0).any())

    def order(self, number: int) -> NDArray[np.int64]:
        """Rows of the columns in the order in which they arrive in permutation `number`, shape (n, N)."""
        rng = np.random.default_rng([self.seed, number, *self.backend.encode()])
        keys = rng.random((len(self.queries), int(self.have.max())))
        keys[np.arange(keys.shape[1]) >= self.have[:, None]] = 2.0  # never drawn
        return np.take_along_axis(self.rows, np.argsort(keys, axis=1)[:, : self.most], axis=1)

    def halves(self, split: int) -> NDArray[np.int64]:
        """`TUNING` or `MEASURED` for every query, shape (n,), by its normalised text.

        Split 2k + 1 measures what split 2k tunes on, so that every query is measured equally often.
        """
        half = split_by_text(self.texts, 2, self.seed * SPLITS + split // 2)
        return half if split % 2 == 0 else 1 - half


def reference_of(most: int) -> int:
    """Samples of the reference majority.

    >>> reference_of(10), reference_of(16), reference_of(50)
    (8, 13, 40)
    """
    return ceil(round(REFERENCE_SHARE * most, 9))


def problems_of(recording: Recording, seed: int, least: int = LEAST_SAMPLES) -> Iterator[Problem]:
    """One per backend of which 60 queries or more have `least` labelled finished samples, in this order: most samples
    per query first, then more queries, then the name.
    """
    found = [
        problem
        for name in recording.backends
        if (problem := problem_of(recording, name, seed)) is not None and problem.most >= least
    ]
    yield from sorted(found, key=lambda one: (-one.most, -len(one.queries), one.backend))


def problem_of(
    recording: Recording,
    backend: str,
    seed: int,
    *,
    most: int | None = None,
    among: NDArray[np.bool_] | None = None,
) -> Problem | None:
    """The problem of one backend; None where 60 queries have no samples, or fewer than are asked for.

    Samples without a label are never drawn: what cannot be scored says nothing of its query's others.
    `most`: N, where it is not the largest that there is; `among`: the queries that may be looked at, (queries,).
    """
    labelled = np.isfinite(recording.columns.reward)
    found = []
    for place in range(len(recording.queries)):
        own = recording.rows(place, backend) if among is None or among[place] else slice(0, 0)
        found.append(own.start + np.flatnonzero(labelled[own]))
    count = np.array([len(rows) for rows in found], dtype=np.int64)
    enough = np.sort(count)[::-1][LEAST_QUERIES - 1 : LEAST_QUERIES]
    there = int(enough[0]) if len(enough) else 0
    if there < max(1, most or 0):
        return None
    most = most or there
    kept = np.flatnonzero(count >= most)
    rows = np.full((len(kept), int(count[kept].max())), NO_ROW, dtype=np.int64)
    for at, query in enumerate(kept.tolist()):
        rows[at, : count[query]] = found[query]
    return Problem(
        recording=recording,
        backend=backend,
        seed=seed,
        most=most,
        queries=kept.astype(np.int32),
        rows=rows,
        have=count[kept],
        left_out=len(count) - len(kept),
    )


def answer_groups(recording: Recording) -> NDArray[np.int32]:
    """One number per distinct canonical answer, for every row of the columns; `NO_VOTE` where there is no answer."""
    number: dict[str, int] = {}
    codes = [number.setdefault(canonical(answer, "auto"), len(number)) for answer in recording.answers]
    return np.array([*codes, NO_VOTE], dtype=np.int32)[recording.columns.answer]
