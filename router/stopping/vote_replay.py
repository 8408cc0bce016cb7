"""When would a rule have stopped? Many recorded runs at once, every different set of votes judged only once.

The rule's own `settled` decides, so what is simulated is what is served. Runs share most of their sets of votes; each
set is told apart by a sum of random 64-bit numbers, one for every number of votes that a class may have (as Zobrist
1970 tells positions apart), kept up to date sample by sample: two sets out of a million are confused with a
probability below 1e-7.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from router.stopping.by_votes import ByVotes

NO_VOTE = -1  # the class of a sample without an answer


def stops(rule: ByVotes, classes: NDArray[np.integer], max_samples: int | None = None) -> NDArray[np.int64]:
    """How many samples each run draws until the rule is satisfied; all of them where it never is.

    `classes` (runs, samples): the answer class of each sample in order of arrival, >= 0, or `NO_VOTE`.
    `max_samples`: what the stage allows; None: as many as were recorded. Returns shape (runs,), in [1, samples].
    """
    drawn = classes[:, :max_samples]
    allowed = drawn.shape[1] if max_samples is None else max_samples
    signed = signatures(drawn)
    _, examples, states = np.unique(signed, return_index=True, return_inverse=True)
    settled = np.zeros(len(examples), bool)
    for state, (run, at) in enumerate(zip(*np.divmod(examples, drawn.shape[1]), strict=True)):
        seen = drawn[run, : at + 1]
        counts = np.bincount(seen[seen >= 0])
        if counts.size:
            settled[state] = rule.settled(counts[counts > 0].tolist(), allowed - int(at) - 1)
    enough = settled[states.reshape(signed.shape)]  # (runs, samples)
    drawn_until = np.where(enough.any(axis=1), enough.argmax(axis=1) + 1, drawn.shape[1])
    return np.asarray(drawn_until, np.int64)


def signatures(classes: NDArray[np.integer]) -> NDArray[np.uint64]:
    """One number for the votes and the samples after each sample, shape (runs, samples); equal sets, equal numbers."""
    runs, length = classes.shape
    rng = np.random.default_rng(0x5EED)
    of_votes = rng.integers(1, 2**63, length + 1, dtype=np.uint64)  # of a class with so many votes
    of_votes[0] = 0
    step = of_votes[1:] - of_votes[:-1]  # what one more vote adds; wraps around
    sample = rng.integers(1, 2**63, dtype=np.uint64)
    votes = np.zeros((runs, int(classes.max(initial=0)) + 1), np.intp)
    found = np.empty((runs, length), np.uint64)
    now = np.zeros(runs, np.uint64)
    for at in range(length):
        voting = np.flatnonzero(classes[:, at] >= 0)
        own = classes[voting, at]
        now += sample  # a sample without a vote is a sample
        now[voting] += step[votes[voting, own]]
        votes[voting, own] += 1
        found[:, at] = now
    return found


def leaders(classes: NDArray[np.integer], drawn: NDArray[np.integer]) -> NDArray[np.int64]:
    """Where each run's answer stands: the first sample of the class with most votes among the first `drawn` samples.

    Of equal votes the class that came first, as the selector `majority` has it where no sample has a confidence;
    0 where none of them voted. `classes` as in `stops`, `drawn` (runs,) >= 1. Returns shape (runs,).
    """
    runs, length = classes.shape
    rows = np.arange(runs)
    votes = np.zeros((runs, int(classes.max(initial=0)) + 1), np.int64)
    first = np.full(votes.shape, length, np.int64)
    for at in range(length):
        voting = rows[(classes[:, at] >= 0) & (at < drawn)]
        own = classes[voting, at]
        votes[voting, own] += 1
        first[voting, own] = np.minimum(first[voting, own], at)
    score = votes * (length + 1) - first  # more votes, then earlier
    best = first[rows, score.argmax(axis=1)]
    return np.where(best < length, best, 0)
