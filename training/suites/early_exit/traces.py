"""The traces of one backend as arrays: what each would have answered on its way, and what it answered in the end.

A trace that `max_tokens` cut has no end of its own: such traces are left out and counted, because what going on would
have given is not known of them. Their lengths are told by the others', which stand for them (Kaplan-Meier). A trace
whose end has no reward is left out and counted as well; of the others a snapshot without one is no look.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from predictors.length_fit import uncensored_weights
from router.recording import Recording
from router.recordings.text_split import split_by_text
from training.sampling.problem import answer_groups

LEAST_LOOKS = 2  # snapshots, for a trace to be worth stopping
LEAST_TRACES = 30
HALVES = 100
TUNING, MEASURED = 0, 1  # of a split
NO_ROW = -1
RIGHT = 0.5  # a reward above it is right, where right and wrong are told apart

Floats = NDArray[np.float64]
Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Traces:
    """n traces of one backend with at most L snapshots each, padded behind the last."""

    recording: Recording
    backend: str
    query: Places = field(compare=False)  # (n,) index into Recording.queries, ascending
    last: Places = field(compare=False)  # (n,) row of the finished sample
    rows: Places = field(compare=False)  # (n, L) rows of the snapshots, NO_ROW behind the last
    tokens: Floats = field(compare=False)  # (n, L) spent at each; infinite behind the last
    length: Floats = field(compare=False)  # (n,) tokens of the finished sample
    answer: NDArray[np.int32] = field(compare=False)  # (n, L) equal numbers: equal answers; -1 without one
    reward: Floats = field(compare=False)  # (n, L) of stopping at each; 0 behind the last
    final: Floats = field(compare=False)  # (n,) of the finished sample
    stands: Floats = field(compare=False)  # (n,) how many traces, with the cut ones, each length stands for
    cut: int = 0  # traces left out because max_tokens ended them
    unlabelled: int = 0  # traces left out because the reward of their end is missing

    def __len__(self) -> int:
        return len(self.query)

    @property
    def there(self) -> NDArray[np.bool_]:
        """Where there is a snapshot, (n, L)."""
        return np.asarray(self.rows != NO_ROW)

    def halves(self, split: int, seed: int) -> Places:
        """`TUNING` or `MEASURED` for every trace, (n,), by its query's normalised text."""
        texts = [query.query for query in self.recording.queries]
        return split_by_text(texts, 2, seed * HALVES + split)[self.query]

    def column(self, values: NDArray[np.floating]) -> Floats:
        """A column of the recording at the snapshots, (n, L), NaN behind the last."""
        return np.where(self.there, values[self.rows], np.nan).astype(np.float64)

    def draws(self) -> Places:
        """The number of each trace among those of its query, (n,): 0 for the first."""
        first = np.searchsorted(self.query, self.query)
        return np.arange(len(self)) - first


def traces_of(recording: Recording) -> Iterator[Traces]:
    """One per backend whose traces mostly have snapshots: most traces first, then the name."""
    if recording.columns.finished.all():
        return
    groups = answer_groups(recording)
    found = [one for name in recording.backends if (one := _traces(recording, name, groups)) is not None]
    yield from sorted(found, key=lambda one: (-len(one), one.backend))


def _traces(recording: Recording, backend: str, groups: NDArray[np.int32]) -> Traces | None:
    seen = recording.columns
    place, known = recording.backends.index(backend), np.isfinite(seen.reward)
    mine = np.flatnonzero(seen.backend == place)
    if not (~seen.finished[mine]).any():
        return None
    owner: dict[tuple[int, int], list[int]] = {}
    for row in mine[~seen.finished[mine]]:
        owner.setdefault((int(seen.query[row]), int(seen.sample_idx[row])), []).append(int(row))
    kept: list[tuple[int, list[int]]] = []
    unlabelled = looked = 0
    cut: list[int] = []
    for row in mine[seen.finished[mine]]:
        looks = owner.get((int(seen.query[row]), int(seen.sample_idx[row])), [])
        looks = sorted(
            (at for at in looks if seen.prefix_tokens[at] < seen.tokens_out[row] and known[at]),
            key=lambda at: int(seen.prefix_tokens[at]),
        )
        if recording.value(int(row), "finish_reason") == "length":
            cut.append(int(row))
        elif not known[row]:
            unlabelled += 1
        else:
            kept.append((int(row), looks))
            looked += len(looks) >= LEAST_LOOKS
    if looked < LEAST_TRACES or 2 * looked < len(kept):
        return None
    kept.sort(key=lambda one: (int(seen.query[one[0]]), int(seen.sample_idx[one[0]])))
    last = np.array([row for row, _ in kept], dtype=np.int64)
    rows = np.full((len(kept), max(len(looks) for _, looks in kept)), NO_ROW, dtype=np.int64)
    for number, (_, looks) in enumerate(kept):
        rows[number, : len(looks)] = looks
    there = rows != NO_ROW
    lengths = seen.tokens_out[[*last, *cut]].astype(np.float64)
    return Traces(
        recording=recording,
        backend=backend,
        query=seen.query[last].astype(np.int64),
        last=last,
        rows=rows,
        tokens=np.where(there, seen.prefix_tokens[rows], np.inf).astype(np.float64),
        length=seen.tokens_out[last].astype(np.float64),
        answer=np.where(there, groups[rows], -1).astype(np.int32),
        reward=np.where(there, seen.reward[rows], 0.0).astype(np.float64),
        final=seen.reward[last].astype(np.float64),
        stands=uncensored_weights(lengths, np.arange(len(lengths)) >= len(last))[: len(last)],
        cut=len(cut),
        unlabelled=unlabelled,
    )
