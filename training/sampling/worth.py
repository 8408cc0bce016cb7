"""Where `value_of_next` stops, for a lattice of its numbers at once: every set of votes is judged once per setting.

The rule rounds what it is told to a lattice (log-odds of P(right), correlation, cost); on its points the tables here
are the rule's own model (`router.stopping.vote_value`), solved backwards for all costs together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product
from math import exp, log2

import numpy as np
from numpy.typing import NDArray

from router.stopping.value_of_next import (
    COSTS_PER_DOUBLING,
    LOGIT_STEP,
    MOST,
    RHO_STEP,
    ValueOfNext,
    in_proportion,
)
from router.stopping.vote_states import VoteStates, vote_states
from router.stopping.vote_value import VoteModel, posterior
from training.sampling.runs import Runs

Floats = NDArray[np.float64]
ODDS = tuple(range(-9, 10))  # steps of log-odds
OWN = 0  # in the place of a step of the cost: what the rule takes where nobody says it
LARGEST = 3_000_000  # run samples that are averaged over


@dataclass(frozen=True, slots=True)
class Lattice:
    """Steps of the correlation and of the cost; (concentration, discount) of wrong answers."""

    rhos: tuple[int, ...]
    spread: tuple[float, float]
    costs: tuple[int, ...]  # below 0, or `OWN`

    @property
    def settings(self) -> tuple[tuple[int, int], ...]:
        """(correlation, cost) of every setting."""
        return tuple(product(self.rhos, self.costs))


@dataclass(frozen=True, slots=True)
class Worth:
    """All settings, at all log-odds of `ODDS`."""

    lattice: Lattice
    settled: NDArray[np.bool_] = field(compare=False)  # (odds, settings, states) going on does not pay
    samples: Floats = field(compare=False)  # (odds, settings, n) drawn, mean over permutations
    right: Floats = field(compare=False)  # (odds, settings, n)

    def rule(self, odds: int, setting: int) -> ValueOfNext:
        """The rule itself; `odds`: index into `ODDS`."""
        rho, cost = self.lattice.settings[setting]
        concentration, discount = self.lattice.spread
        return ValueOfNext(
            cost=0.0 if cost == OWN else 2 ** (cost / COSTS_PER_DOUBLING),
            right=1 / (1 + exp(-ODDS[odds] * LOGIT_STEP)),
            alike=rho * RHO_STEP,
            concentration=concentration,
            discount=discount,
        )


def worth_of(runs: Runs, lattice: Lattice) -> Worth:
    """Solve and replay them; where the recording is large, over fewer permutations."""
    settings, most = len(lattice.settings), runs.problem.most
    silent = runs.drawn - np.array([sum(votes) for votes in runs.votes])
    groups = [
        _Group.of(runs, states, most - int(count), lattice.costs)
        for count in np.unique(silent)
        if len(states := np.flatnonzero((silent == count) & (runs.drawn > silent)))
    ]
    # fewer votes at the end: the first of the same states, so that one posterior serves all groups
    every = vote_states(max((group.most for group in groups), default=1))
    settled = np.zeros((len(ODDS), settings, len(runs.votes)), np.bool_)
    for (at, step), (turn, rho) in product(enumerate(ODDS), enumerate(lattice.rhos)):
        right, size = 1 / (1 + exp(-step * LOGIT_STEP)), 1 / (rho * RHO_STEP) - 1
        model = VoteModel(right * size, (1 - right) * size, *lattice.spread)
        mine = settled[at, turn * len(lattice.costs) : (turn + 1) * len(lattice.costs)]
        solved = posterior(model, every)
        for group in groups:
            mine[:, group.states] = _stops(every, solved, group).T
    used = min(len(runs.state), max(1, LARGEST // (runs.shape[1] * most)))
    samples = np.empty((len(ODDS), settings, runs.shape[1]))
    right_mean = np.empty_like(samples)
    for odds, setting in product(range(len(ODDS)), range(settings)):
        stops = first_true(settled[odds, setting][runs.state[:used]])
        samples[odds, setting] = stops.mean(axis=0)
        right_mean[odds, setting] = runs.right_at(stops).mean(axis=0, dtype=np.float64)
    return Worth(lattice, settled, samples, right_mean)


def first_true(enough: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Samples until the first true along the last axis; all of them where there is none."""
    return np.asarray(np.where(enough.any(axis=-1), enough.argmax(axis=-1) + 1, enough.shape[-1]), np.int64)


@dataclass(frozen=True, slots=True)
class _Group:
    """Sets of votes with equally many samples without a vote: they have the same end."""

    states: NDArray[np.int64] = field(compare=False)  # indices of `Runs.votes`
    numbers: NDArray[np.int64] = field(compare=False)  # of `VoteStates`
    most: int  # votes at the end
    costs: tuple[float, ...]

    @classmethod
    def of(cls, runs: Runs, states: NDArray[np.int64], total: int, steps: Sequence[int]) -> _Group:
        """`states` have a vote; `total` votes at the end; more than the rule tells apart are taken in proportion."""
        most = min(total, MOST)
        numbers, scale = [], 1.0
        for state in states.tolist():
            votes: Sequence[int] = runs.votes[state]
            if total > MOST:
                votes, _, scaled = in_proportion(votes, total - sum(votes), 1.0)
                scale = scaled
            numbers.append(vote_states(most).number(votes))
        own = ValueOfNext().least(total)
        costs = (scale * (own if step == OWN else 2 ** (step / COSTS_PER_DOUBLING)) for step in steps)
        rounded = tuple(2 ** (round(COSTS_PER_DOUBLING * log2(cost)) / COSTS_PER_DOUBLING) for cost in costs)
        return cls(states, np.array(numbers, np.int64), most, rounded)


def _stops(states: VoteStates, solved: tuple[Floats, Floats], group: _Group) -> NDArray[np.bool_]:
    """Whether going on does not pay, (group's states, costs): `vote_value.vote_values` for several costs."""
    right, chances = solved
    costs = np.array(group.costs)
    leader = right[: states.layers[group.most + 1], 0]
    value = np.repeat(np.append(leader, 0.0)[:, None], len(costs), axis=1)  # (states + 1, costs)
    gain = np.broadcast_to(-costs, (len(leader), len(costs))).copy()
    after = np.where(states.after[: len(leader)] >= 0, states.after[: len(leader)], len(leader))
    for votes in range(group.most - 1, 0, -1):
        layer = slice(states.layers[votes], states.layers[votes + 1])
        going_on = np.einsum("sk,skc->sc", chances[layer], value[after[layer]]) - costs
        gain[layer] = going_on - leader[layer, None]
        value[layer] = np.maximum(leader[layer, None], going_on)
    return np.asarray(gain[group.numbers].astype(np.float32) <= 0)
