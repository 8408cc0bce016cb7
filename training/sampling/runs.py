"""What every run has seen after every sample: its set of votes, its leader, whether that is right.

A run is one query under one permutation. Equal sets of votes are one state, judged once however many runs pass it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from router.stopping.vote_replay import signatures
from training.sampling.problem import NO_VOTE, SPLITS, Problem, answer_groups

_BLOCK = 10  # permutations that are counted together: bounds the memory


@dataclass(frozen=True, slots=True)
class Runs:
    """R permutations of n queries, N samples each; axis order (R, n, N)."""

    problem: Problem
    rows: NDArray[np.int32] = field(compare=False)  # row of the columns that arrives
    classes: NDArray[np.int16] = field(compare=False)  # its answer class within the query, or NO_VOTE
    leader: NDArray[np.int16] = field(compare=False)  # arrival (0 to N - 1) of the sample that answers
    right: NDArray[np.float32] = field(compare=False)  # its reward
    state: NDArray[np.int32] = field(compare=False)  # index into `votes`
    votes: tuple[tuple[int, ...], ...] = field(compare=False)  # of each state, most first
    drawn: NDArray[np.int16] = field(compare=False)  # (states,) samples, also those without a vote

    @property
    def shape(self) -> tuple[int, int]:
        """(R, n)."""
        return self.state.shape[0], self.state.shape[1]

    def right_at(self, stops: NDArray[np.integer]) -> NDArray[np.float32]:
        """What the answer after so many samples earns; `stops` (some of the first permutations, n) in [1, N]."""
        places = stops.astype(np.int64)[..., None] - 1
        return np.asarray(np.take_along_axis(self.right[: len(stops)], places, axis=2)[..., 0], np.float32)

    @property
    def reference(self) -> NDArray[np.float64]:
        """What the majority over the reference's samples earns, mean over the permutations, shape (n,)."""
        return np.asarray(self.right[:, :, self.problem.reference - 1].mean(axis=0, dtype=np.float64))


def runs_of(problem: Problem, permutations: int) -> Runs:
    """Play the permutations 0, 1, … of a problem."""
    shape = (permutations, len(problem.queries), problem.most)
    local = local_classes(problem)
    reward = problem.recording.columns.reward
    rows, classes = np.empty(shape, np.int32), np.empty(shape, np.int16)
    leader, right = np.empty(shape, np.int16), np.empty(shape, np.float32)
    signed = np.empty(shape, np.uint64)
    for number in range(permutations):
        rows[number] = problem.order(number)
        classes[number] = local[rows[number]]
    for start in range(0, permutations, _BLOCK):
        part = slice(start, start + _BLOCK)
        flat = classes[part].reshape(-1, problem.most)
        leader[part] = leaders(flat).reshape(classes[part].shape)
        signed[part] = signatures(flat).reshape(classes[part].shape)
    right[:] = np.take_along_axis(reward[rows], leader.astype(np.int64), axis=2)
    _, example, state = np.unique(signed, return_index=True, return_inverse=True)
    votes, drawn = [], []
    for permutation, query, at in zip(*np.unravel_index(example, shape), strict=True):
        seen = classes[permutation, query, : at + 1]
        counts = np.bincount(seen[seen >= 0]) if (seen >= 0).any() else np.zeros(0, np.int64)
        votes.append(tuple(sorted(counts[counts > 0].tolist(), reverse=True)))
        drawn.append(at + 1)
    return Runs(
        problem,
        rows,
        classes,
        leader,
        right,
        state.reshape(shape).astype(np.int32),
        tuple(votes),
        np.array(drawn, np.int16),
    )


def leaders(classes: NDArray[np.integer]) -> NDArray[np.int16]:
    """Which sample answers after each sample, (runs, N): the latest of the class with most votes.

    Of equally many the class that came first; the last sample where there is no vote.
    """
    runs, length = classes.shape
    every = np.arange(runs)
    votes = np.zeros((runs, int(classes.max(initial=0)) + 1), np.int16)
    came = np.full(votes.shape, length, np.int16)  # first arrival
    latest = np.zeros(votes.shape, np.int16)
    best = np.full(runs, NO_VOTE, np.int64)
    found = np.empty((runs, length), np.int16)
    for at in range(length):
        own = classes[:, at].astype(np.int64)
        voting = own >= 0
        mine, who = own[voting], every[voting]
        came[who, mine] = np.minimum(came[who, mine], at)
        votes[who, mine] += 1
        latest[who, mine] = at
        now = best[who]
        held = np.where(now >= 0, votes[who, now], 0)
        ahead = (votes[who, mine] > held) | (
            (votes[who, mine] == held) & (came[who, mine] < came[who, np.maximum(now, 0)])
        )
        best[who[ahead]] = mine[ahead]
        found[:, at] = np.where(best >= 0, latest[every, np.maximum(best, 0)], at)
    return found


def local_classes(problem: Problem) -> NDArray[np.int16]:
    """For every row of the columns the answer's number within its query, by row; -1 without a vote."""
    groups = answer_groups(problem.recording)
    found = np.full(len(groups), NO_VOTE, np.int16)
    for rows, have in zip(problem.rows, problem.have.tolist(), strict=True):
        own = groups[rows[:have]]
        _, numbers = np.unique(own, return_inverse=True)
        found[rows[:have]] = np.where(own >= 0, numbers - int((own < 0).any()), NO_VOTE)
    return found


def reference_rewards(problem: Problem) -> NDArray[np.float64]:
    """`Runs.reference` of `SPLITS` permutations without the rest, shape (n,)."""
    local, until = local_classes(problem), problem.reference
    reward = problem.recording.columns.reward
    right = np.empty((SPLITS, len(problem.queries)), np.float32)
    for number in range(SPLITS):
        rows = problem.order(number)[:, :until]
        speaker = leaders(local[rows])[:, -1].astype(np.int64)
        right[number] = reward[np.take_along_axis(rows, speaker[:, None], axis=1)[:, 0]]
    return np.asarray(right.mean(axis=0, dtype=np.float64))
