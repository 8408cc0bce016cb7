"""All sets of votes that a stage may see, numbered, and where one more sample leads from each.

The three most frequent answers are kept exactly, all others as if they differed from each other: who will win is
decided among the first. For 16 samples that are some 800 states instead of 915, for 40 some 20,000 instead of 215,000.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

KEPT = 3  # answers whose votes are told apart


@dataclass(frozen=True, slots=True)
class VoteStates:
    """Every state of 1 to N votes, by number of votes; a row is a state."""

    # (states, 3): votes of the most frequent answers, the most first, 0 where there is none
    counts: NDArray[np.int64]
    others: NDArray[np.int64]  # (states,): votes for other answers
    # (states, 5): the state after a vote for each of the three, for another, for a new one
    after: NDArray[np.int64]
    layers: NDArray[np.int64]  # (N + 2,): states of n votes are layers[n] to layers[n + 1]
    numbers: NDArray[np.int32]  # the number of state (v1, v2, v3, others), -1 where there is none

    def number(self, ranked: Sequence[int]) -> int:
        """The number of the state with these votes; `ranked`: the most first, N at most."""
        v1, v2, v3 = (*ranked[:KEPT], 0, 0)[:KEPT]
        return int(self.numbers[v1, v2, v3, sum(ranked[KEPT:])])


@lru_cache(maxsize=64)
def vote_states(most: int) -> VoteStates:
    """The states of 1 to `most` votes."""
    v1, v2, v3 = (
        axis.ravel()
        for axis in np.meshgrid(
            np.arange(1, most + 1), np.arange(most // 2 + 1), np.arange(most // 3 + 1), indexing="ij"
        )
    )
    fits = (v1 >= v2) & (v2 >= v3) & (v1 + v2 + v3 <= most)
    triples = np.stack([v1, v2, v3], axis=1)[fits]
    room = np.where(triples[:, 2] > 0, most - triples.sum(axis=1), 0)  # others come after the third
    counts = np.repeat(triples, room + 1, axis=0)
    others = np.arange(len(counts)) - np.repeat(np.cumsum(room + 1) - room - 1, room + 1)
    votes = counts.sum(axis=1) + others
    order = np.argsort(votes, kind="stable")
    counts, others, votes = counts[order], others[order], votes[order]
    numbers = np.full((most + 2, most // 2 + 2, most // 3 + 2, most + 2), -1, np.int32)
    numbers[(*counts.T, others)] = np.arange(len(counts))
    layers = np.searchsorted(votes, np.arange(most + 2))
    return VoteStates(counts, others, _after(counts, others, numbers), layers, numbers)


def _after(
    counts: NDArray[np.int64], others: NDArray[np.int64], numbers: NDArray[np.int32]
) -> NDArray[np.int64]:
    """The state after one more vote; -1 where that is one vote too many, or for an answer that is not there."""
    after = np.full((len(counts), KEPT + 2), -1, np.int64)
    inside = counts.sum(axis=1) + others < numbers.shape[0] - 2
    for own in range(KEPT):
        more = counts.copy()
        more[:, own] += 1
        after[:, own] = _numbered(np.sort(more, axis=1)[:, ::-1], others, numbers)
        after[counts[:, own] == 0, own] = -1
    third = counts[:, 2]
    # another one had a single vote: a second makes it the third, if the third has but one (which then is another)
    risen = counts.copy()
    risen[third == 1, 2] = 2
    risen = np.sort(risen, axis=1)[:, ::-1]
    after[:, KEPT] = np.where(others > 0, _numbered(risen, others + (third > 1), numbers), -1)
    new = counts.copy()
    for own in (1, 2):
        first_free = (counts[:, own] == 0) & (counts[:, own - 1] > 0)
        new[first_free, own] = 1
    after[:, KEPT + 1] = _numbered(new, others + (third > 0), numbers)
    after[~inside] = -1
    return after


def _numbered(
    counts: NDArray[np.int64], others: NDArray[np.int64], numbers: NDArray[np.int32]
) -> NDArray[np.int64]:
    bounds = np.array(numbers.shape) - 1
    places = np.minimum(np.column_stack([counts, others]), bounds)
    return np.asarray(numbers[tuple(places.T)], np.int64)
