"""The allocation problem of a recording: every sample of every backend in the order in which stages would draw them.

Orders are the live ones (`router.backends.recorded.drawing_order` under `router.first_decision.draw.stage_seed`), so
that a plan's outcome here is what a replay of it gives. Further orders of the same samples serve for averages over
training queries.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from predictors.observation import Query
from router.backends.recorded import drawing_order
from router.first_decision.draw import stage_seed
from router.recording import Recording
from training.comparable_answers import answer_groups, comparable
from training.errors import NotEnoughData
from training.some_of import some_of
from training.suites.routing.problem import Problem as Routing
from training.suites.routing.problem import routing_problem

ENOUGH_TO_VOTE = 3  # samples that most queries must have
STAGES = 2  # longest plan
ORDERS = 3  # the live one first
NO_ROW = -1


@dataclass(frozen=True, slots=True)
class Problem:
    """n queries that every backend answered, B backends, up to K samples each."""

    routing: Routing
    drawn: NDArray[np.int64] = field(compare=False)  # (ORDERS, STAGES, n, B, K) row of the columns, or NO_ROW
    # (rows + 1,) equal answers of all rows; -1: none (also last)
    group: NDArray[np.int32] = field(compare=False)
    # of each backend: samples that nearly all of its queries have; 1 where votes mean nothing
    votes: tuple[int, ...]

    @property
    def recording(self) -> Recording:
        """Where the samples are from."""
        return self.routing.recording

    @property
    def backends(self) -> tuple[str, ...]:
        """Names, in the order of axis B."""
        return self.routing.backends

    @property
    def reward(self) -> NDArray[np.float64]:
        """(n, B) mean over the samples."""
        return self.routing.reward

    @property
    def cost(self) -> NDArray[np.float64]:
        """(n, B) dollars, mean over the samples."""
        return self.routing.cost


def allocation_problem(recording: Recording, seed: int) -> Problem:
    """Gather a recording; raise NotEnoughData unless two backends have three samples or more of most queries."""
    routing = routing_problem(recording, seed)
    rows, have = _rows(routing)
    several = [int(np.median(have[:, place])) for place in range(have.shape[1])]
    if sum(count >= ENOUGH_TO_VOTE for count in several) < 2:
        most_first = np.argsort([-count for count in several], kind="stable")
        told = some_of([f"{routing.backends[place]} {several[place]}" for place in most_first])
        raise NotEnoughData(
            f"allocation needs two backends with {ENOUGH_TO_VOTE} samples of a query; {recording.name} has {told}"
        )
    group = np.append(answer_groups(recording), np.int32(-1))
    votes = tuple(
        int(np.quantile(have[:, place], 0.05)) if _votes(rows[:, place], group) else 1
        for place in range(have.shape[1])
    )
    return Problem(routing, _drawn(routing, rows, have, seed), group, votes)


def _rows(routing: Routing) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Labelled finished samples of every query and backend by sample_idx (n, B, K), and how many (n, B)."""
    recording, n, width = routing.recording, len(routing.queries), len(routing.backends)
    labelled = np.isfinite(recording.columns.reward)
    found = [
        [_kept(recording.rows(place, name), labelled) for name in routing.backends]
        for place in routing.queries.tolist()
    ]
    have = np.array([[len(one) for one in row] for row in found])
    rows = np.full((n, width, int(have.max())), NO_ROW, dtype=np.int64)
    for at, row in enumerate(found):
        for place, one in enumerate(row):
            rows[at, place, : len(one)] = one
    return rows, have


def _kept(rows: slice, labelled: NDArray[np.bool_]) -> NDArray[np.int64]:
    """What cannot be scored is not drawn."""
    every = np.arange(rows.start, rows.stop)
    return every[labelled[rows]]


def _votes(rows: NDArray[np.int64], group: NDArray[np.int32]) -> bool:
    """Whether the answers of one backend, (n, K) rows, can be compared."""
    query = np.broadcast_to(np.arange(len(rows))[:, None], rows.shape)
    there = rows != NO_ROW
    return comparable(query[there], group[rows[there]])


def _drawn(
    routing: Routing, rows: NDArray[np.int64], have: NDArray[np.int64], seed: int
) -> NDArray[np.int64]:
    found = np.full((ORDERS, STAGES, *rows.shape), NO_ROW, dtype=np.int64)
    for at, place in enumerate(routing.queries.tolist()):
        query = Query(routing.recording.queries[place].query_id, ())
        counts = {int(count): np.flatnonzero(have[at] == count) for count in np.unique(have[at])}
        for order in range(ORDERS):
            for stage in range(STAGES):
                key = stage_seed(seed + 7919 * order, query, stage)
                for count, backends in counts.items():
                    taken = drawing_order(count, key)
                    found[order, stage, at, backends, :count] = rows[at, backends][:, taken]
    return found
