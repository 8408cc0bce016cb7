"""Decisions as columns: what one subject did with many queries at one operating point.

The same shape is written to `--decisions`, read back from it, and is all that a figure may be computed from,
besides the recording.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router.recording import Recording
from router.recordings.cost import SNAPSHOT_TOKENS, Prices

NO_ANSWER = -1  # in `answer`
NO_SAMPLE = -1  # of `answering_row`, where nothing was drawn


@dataclass(frozen=True, slots=True)
class RowKey:
    """What a block of rows belongs to."""

    suite: str
    recording: str
    subject: str
    seed: int
    fold: int  # split or half
    operating_point: str
    draw: int = 0  # permutation, where there is one


@dataclass(frozen=True, slots=True)
class Named:
    """A map of name -> number for each of n rows; `codes` and `values` are flat, shape (entries,)."""

    names: tuple[str, ...]
    starts: NDArray[np.int32]  # (n + 1,)
    codes: NDArray[np.int32]  # index into names
    values: NDArray[np.float64]

    @classmethod
    def dense(cls, columns: Mapping[str, NDArray[Any]], rows: int) -> Named:
        """One value per row and name; a NaN is left out."""
        if not columns:
            return cls((), np.zeros(rows + 1, np.int32), np.zeros(0, np.int32), np.zeros(0))
        # (n, names)
        table = np.stack([np.asarray(column, np.float64) for column in columns.values()], axis=1)
        there = ~np.isnan(table)
        starts = np.concatenate(([0], np.cumsum(there.sum(axis=1)))).astype(np.int32)
        codes = np.broadcast_to(np.arange(table.shape[1], dtype=np.int32), table.shape)[there]
        return cls(tuple(columns), starts, codes, table[there])

    def column(self, name: str) -> NDArray[np.float64]:
        """The values under one name, shape (n,), NaN where a row has none."""
        rows = len(self.starts) - 1
        found = np.full(rows, np.nan)
        if name in self.names:
            mine = self.codes == self.names.index(name)
            found[np.repeat(np.arange(rows), np.diff(self.starts))[mine]] = self.values[mine]
        return found


@dataclass(frozen=True, slots=True)
class DecisionRows:
    """n decisions with one key. Samples are rows of the recording's columns, those of each decision in a run."""

    key: RowKey
    query: NDArray[np.int32] = field(compare=False)  # (n,) index into Recording.queries
    plans: tuple[str, ...]
    plan: NDArray[np.int32] = field(compare=False)  # (n,) index into plans
    samples_from: NDArray[np.int32] = field(compare=False)  # (n + 1,)
    sample_row: NDArray[np.int64] = field(compare=False)  # (samples,) in the order they were looked at
    answer: NDArray[np.int32] = field(compare=False)  # (n,) index into answers, or NO_ANSWER
    cost: NDArray[np.float64] = field(compare=False)  # (n,) dollars
    probabilities: Named = field(compare=False)  # plan -> probability
    signals: Named = field(compare=False)
    answers: tuple[str, ...] | None = field(default=None, compare=False)  # None: Recording.answers

    def __len__(self) -> int:
        return len(self.query)


def answering_row(rows: DecisionRows, recording: Recording) -> NDArray[np.int64]:
    """The sample that each answer came from, shape (n,): the last one looked at that gives this answer.

    Where the answer is null, or none of the samples gives it, the last sample; without any, `NO_SAMPLE`.
    """
    codes = recording.columns.answer[rows.sample_row]
    owner = np.repeat(np.arange(len(rows)), np.diff(rows.samples_from))
    answer = rows.answer
    if rows.answers is not None:
        known = {text: place for place, text in enumerate(recording.answers)}
        to_known = np.array([*(known.get(text, NO_ANSWER) for text in rows.answers), NO_ANSWER])
        answer = to_known[answer]  # NO_ANSWER is the last place
    gives = (codes == answer[owner]) & (codes != NO_ANSWER)
    place = np.arange(len(codes))
    last = np.full(len(rows), -1)
    np.maximum.at(last, owner[gives], place[gives])
    last = np.where(last < 0, rows.samples_from[1:] - 1, last)
    drawn = np.diff(rows.samples_from) > 0
    chosen = np.full(len(rows), NO_SAMPLE, dtype=np.int64)
    chosen[drawn] = rows.sample_row[last[drawn]]
    return chosen


def answered_reward(rows: DecisionRows, recording: Recording) -> NDArray[np.float64]:
    """What each answer earned, shape (n,), in [0, 1]; NaN where it has no label, or no sample was drawn."""
    answered = answering_row(rows, recording)
    found = np.full(len(rows), np.nan)
    found[answered != NO_SAMPLE] = recording.columns.reward[answered[answered != NO_SAMPLE]]
    return found


def cost_of_samples(
    rows: DecisionRows, recording: Recording, prices: Mapping[str, Prices] | None = None
) -> NDArray[np.float64]:
    """Dollars of each row by the recording's cost rule, shape (n,); at its own prices where none are given.

    A finished sample costs its tokens. Of a trace that was looked at while it grew, the longest look counts, and
    every look costs 20 output tokens more; input is charged once per sample.
    """
    seen = recording.columns
    owner = np.repeat(np.arange(len(rows)), np.diff(rows.samples_from))
    taken = rows.sample_row
    growing = ~seen.finished[taken]
    charged = [(prices or recording.prices)[name] for name in recording.backends]
    price_in = np.array([price.price_in for price in charged])[seen.backend[taken]]
    price_out = np.array([price.price_out for price in charged])[seen.backend[taken]]
    sample_cost = (seen.tokens_in[taken] * price_in + seen.tokens_out[taken] * price_out) / 1e6
    look = np.where(growing, SNAPSHOT_TOKENS * price_out / 1e6, 0.0)
    trace = (owner * len(recording.backends) + seen.backend[taken]) * (
        1 + int(seen.sample_idx.max(initial=0))
    )
    trace = trace + seen.sample_idx[taken]
    _, inverse = np.unique(trace, return_inverse=True)
    dearest = np.zeros(int(inverse.max(initial=-1)) + 1)
    np.maximum.at(dearest, inverse, sample_cost)
    first_owner = np.zeros(len(dearest), dtype=np.int64)
    first_owner[inverse] = owner
    total = np.bincount(first_owner, dearest, minlength=len(rows))
    return np.asarray(total + np.bincount(owner, look, minlength=len(rows)), dtype=np.float64)
