"""The routing problem of a recording: rewards and costs as (queries, backends), and one fold of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router.first_decision.draw import unit
from router.recording import Recording
from router.recordings.text_split import split_by_text
from training.errors import NotEnoughData
from training.figures.spread import Spread
from training.some_of import some_of

FOLDS = 5
LEAST_QUERIES = 50  # below, a fold's accuracy is noise
LEAST_COVERAGE = (
    0.5  # a backend with labels on fewer of the queries is left out, else it would leave most queries out
)


@dataclass(frozen=True, slots=True)
class Problem:
    """The queries that every backend answered and that are labelled. n queries, B backends."""

    recording: Recording
    seed: int
    queries: NDArray[np.int32] = field(compare=False)  # (n,) index into recording.queries
    backends: tuple[str, ...]
    reward: NDArray[np.float64] = field(compare=False)  # (n, B) mean over the samples: what is learned from
    cost: NDArray[np.float64] = field(compare=False)  # (n, B) dollars, mean over the samples
    served_row: NDArray[np.int64] = field(
        compare=False
    )  # (n, B) the sample that is served; row of the columns
    left_out: int  # queries that a backend did not answer, or without labels
    # every recorded backend -> the share of the labelled queries on which it has labels
    coverage: Mapping[str, float] = field(default_factory=dict, compare=False)

    @property
    def not_compared(self) -> Mapping[str, float]:
        """The coverage of the backends that are left out."""
        return {name: share for name, share in self.coverage.items() if name not in self.backends}

    @property
    def served_reward(self) -> NDArray[np.float64]:
        """What the served sample earns, shape (n, B)."""
        return self.recording.columns.reward[self.served_row].astype(np.float64)

    @property
    def served_cost(self) -> NDArray[np.float64]:
        """What the served sample costs in dollars, shape (n, B)."""
        return self.recording.columns.cost[self.served_row]

    @property
    def texts(self) -> list[str]:
        """The queries' texts."""
        return [self.recording.queries[place].query for place in self.queries]

    @property
    def tasks(self) -> list[str]:
        """The queries' tasks; "" where there is none."""
        return [self.recording.queries[place].task or "" for place in self.queries]


@dataclass(frozen=True, slots=True)
class Fold:
    """One split: `train` and `test` are places in the problem's arrays."""

    problem: Problem
    fold: int
    train: NDArray[np.int64] = field(compare=False)
    test: NDArray[np.int64] = field(compare=False)
    made: dict[str, Any] = field(
        default_factory=dict, compare=False, repr=False
    )  # of the fold, for several subjects

    @property
    def cheapest(self) -> int:
        """By mean cost on the training queries."""
        return int(np.argmin(self.problem.cost[self.train].mean(axis=0)))

    @property
    def best(self) -> int:
        """By mean reward on the training queries; the cheaper of equals."""
        problem, train = self.problem, self.train
        return int(np.lexsort((problem.cost[train].mean(axis=0), -problem.reward[train].mean(axis=0)))[0])

    def rng(self, purpose: str) -> np.random.Generator:
        """A generator of this fold and purpose alone."""
        return np.random.default_rng([self.problem.seed, self.fold, *purpose.encode()])


def routing_problem(recording: Recording, seed: int) -> Problem:
    """Gather a recording; raise NotEnoughData with fewer than two backends or 50 queries."""
    seen, width = recording.columns, len(recording.backends)
    usable = seen.finished & ~np.isnan(seen.reward)
    cell = seen.query[usable].astype(np.int64) * width + seen.backend[usable]
    cells = len(recording.queries) * width
    count = np.bincount(cell, minlength=cells).reshape(-1, width)  # (queries, backends)
    labelled = (count > 0).any(axis=1)
    share = (count > 0).sum(axis=0) / max(int(labelled.sum()), 1)  # (backends,)
    kept = np.flatnonzero(share >= LEAST_COVERAGE).tolist()
    if len(kept) < 2:
        told = some_of(
            [f"{recording.backends[place]} {100 * share[place]:.0f} %" for place in np.argsort(-share)]
        )
        raise NotEnoughData(
            f"plans are compared over two backends with labelled answers to half of the queries or more; "
            f"{recording.name} has {len(kept)} ({told})"
        )
    everywhere = np.flatnonzero((count[:, kept] > 0).all(axis=1))
    while len(everywhere) < LEAST_QUERIES and len(kept) > 2:  # of a hundred, each may miss a few of its own
        kept.remove(min(kept, key=lambda backend: share[backend]))
        everywhere = np.flatnonzero((count[:, kept] > 0).all(axis=1))
    if len(everywhere) < LEAST_QUERIES:
        raise NotEnoughData(
            f"plans are compared over {LEAST_QUERIES} queries that every backend answered; "
            f"{recording.name} has {len(everywhere)}"
        )

    def mean(values: NDArray[Any]) -> NDArray[np.float64]:
        total = np.bincount(cell, values[usable], minlength=cells).reshape(-1, width)
        return np.asarray(total[everywhere][:, kept] / count[everywhere][:, kept], dtype=np.float64)

    return Problem(
        recording=recording,
        seed=seed,
        queries=everywhere.astype(np.int32),
        backends=tuple(recording.backends[b] for b in kept),
        reward=mean(seen.reward),
        cost=mean(seen.cost),
        served_row=_served(recording, np.flatnonzero(usable), cell, count, everywhere, kept, seed),
        left_out=len(recording.queries) - len(everywhere),
        coverage=dict(zip(recording.backends, share.tolist(), strict=True)),
    )


def count_left_out(
    figures: Mapping[str, dict[str, Spread | float]],
    problem: Problem,
    compared: Collection[str] | None = None,
) -> None:
    """Add to every subject's figures: `left_out` queries; `left_out/<backend>`: not compared, its share of labels.

    `compared`: the backends that are, where a suite takes only some of the problem's.
    """
    compared = problem.backends if compared is None else compared
    shares = {f"left_out/{name}": share for name, share in problem.coverage.items() if name not in compared}
    for found in figures.values():
        found |= {"left_out": float(problem.left_out), **shares}


def _served(
    recording: Recording,
    rows: NDArray[np.int64],
    cell: NDArray[np.int64],
    count: NDArray[np.int64],
    everywhere: NDArray[np.int64],
    kept: list[int],
    seed: int,
) -> NDArray[np.int64]:
    """One sample of each query and backend, drawn by the seed and the query's id; the same for every subject."""
    first = np.searchsorted(cell, np.arange(count.size)).reshape(
        count.shape
    )  # rows are sorted by query, backend
    u = np.array([unit(seed, "served sample", recording.queries[place].query_id) for place in everywhere])
    many = count[everywhere][:, kept]
    chosen: NDArray[np.int64] = rows[first[everywhere][:, kept] + (u[:, None] * many).astype(np.int64)]
    return chosen


def folds_by_text(problem: Problem) -> list[Fold]:
    """Five folds by the hash of the normalised text: duplicates stay together.

    Raises NotEnoughData where the texts are so few that one fold holds them all.
    """
    found = _folds(problem, split_by_text(problem.texts, FOLDS, problem.seed))
    if not found:
        raise NotEnoughData(
            f"plans are compared on texts that can be held out; the {len(problem.queries)} queries of "
            f"{problem.recording.name} have {len(set(problem.texts))} between them, all in one fold"
        )
    return found


def folds_by_task(problem: Problem) -> list[Fold]:
    """Five folds of whole tasks, about equally many in each; none without at least five tasks.

    A text that occurs under two tasks goes with the first, so that no test text was trained on.
    """
    tasks, texts = problem.tasks, problem.texts
    names = sorted(set(tasks))
    if len(names) < FOLDS:
        return []
    order = np.random.default_rng([problem.seed, 1]).permutation(len(names))
    of_task = {names[place]: turn % FOLDS for turn, place in enumerate(order)}
    from router.recordings.text_split import normalised

    of_text: dict[str, int] = {}
    parts = [
        of_text.setdefault(normalised(text), of_task[task]) for text, task in zip(texts, tasks, strict=True)
    ]
    return _folds(problem, np.array(parts))


def _folds(problem: Problem, part: NDArray[np.int64]) -> list[Fold]:
    found = [
        Fold(problem, number, np.flatnonzero(part != number), np.flatnonzero(part == number))
        for number in range(FOLDS)
    ]
    return [fold for fold in found if len(fold.train) and len(fold.test)]
