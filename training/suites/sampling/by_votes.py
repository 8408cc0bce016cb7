"""Rules that read the votes alone, each at a range of its one parameter; the rule's own `settled` decides.

Settings are ordered from eager to patient, and a patient one never stops where an eager one does not: so a bisection
per set of votes finds which of them stop there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from router.stopping.beta import Beta
from router.stopping.by_votes import ByVotes
from router.stopping.dirichlet import Dirichlet
from router.stopping.entropy import Entropy
from router.stopping.lock_in import LockIn
from router.stopping.majority_certificate import MajorityCertificate
from training.sampling.candidates import Candidates
from training.sampling.known import Known
from training.sampling.runs import Runs
from training.sampling.split import Split

Prepared = Callable[[Split], Candidates]
THRESHOLDS = (
    0.51, 0.55, 0.6, 0.65, 0.7, 0.74, 0.76, 0.8, 0.83, 0.86, 0.88, 0.9, 0.92, 0.94, 0.95, 0.96, 0.97, 0.98, 0.985,
    0.99, 0.995, 0.999,
)  # fmt: skip
EPSILONS = (
    0.9,
    0.8,
    0.7,
    0.6,
    0.5,
    0.4,
    0.3,
    0.25,
    0.2,
    0.15,
    0.12,
    0.1,
    0.08,
    0.05,
    0.03,
    0.02,
    0.01,
    0.001,
)
ENTROPIES = (2.5, 2.0, 1.7, 1.4, 1.2, 1.0, 0.85, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0)


def beta(known: Known) -> Prepared:
    """Adaptive-Consistency's Beta criterion."""
    return settings(
        known.runs, [Beta(value) for value in THRESHOLDS], [f"{value}" for value in THRESHOLDS], Beta()
    )


def dirichlet(known: Known) -> Prepared:
    """Adaptive-Consistency's Dirichlet criterion."""
    values = (0.35, 0.4, 0.45, *THRESHOLDS)
    return settings(
        known.runs, [Dirichlet(value) for value in values], [f"{value}" for value in values], Dirichlet()
    )


def majority_certificate(known: Known) -> Prepared:
    """The anytime-valid certificate."""
    rules = [MajorityCertificate(value) for value in EPSILONS]
    return settings(known.runs, rules, [f"epsilon {value}" for value in EPSILONS], MajorityCertificate())


def entropy(known: Known) -> Prepared:
    """Low entropy of three votes or more."""
    rules = [Entropy(value, votes=3) for value in ENTROPIES]
    return settings(known.runs, rules, [f"at most {value}" for value in ENTROPIES])


def lock_in(known: Known) -> Prepared:
    """The leader cannot be overtaken any more: nothing to tune."""
    return settings(known.runs, [LockIn()], ["lock_in"])


def settings(
    runs: Runs, rules: Sequence[ByVotes], labels: Sequence[str], usual: ByVotes | None = None
) -> Prepared:
    """Where every rule stops every run; `rules` from eager to patient, `usual`: the one without tuning."""
    patience = stopping_count(runs, rules)
    reached = np.maximum.accumulate(patience[runs.state], axis=2)  # how many of the rules have stopped so far
    stops = np.stack(
        [np.minimum((reached <= number).sum(axis=2) + 1, runs.problem.most) for number in range(len(rules))]
    )
    default = next((place for place, rule in enumerate(rules) if rule == usual), None)
    found = Candidates.of(runs, tuple(labels), stops, default)
    return lambda split: found


def stopping_count(runs: Runs, rules: Sequence[ByVotes]) -> NDArray[np.int8]:
    """How many of the rules stop at each state, (states,): the first so many."""
    found = np.zeros(len(runs.votes), np.int8)
    for state, (votes, drawn) in enumerate(zip(runs.votes, runs.drawn.tolist(), strict=True)):
        if votes:
            left = runs.problem.most - drawn
            low, high = 0, len(rules)
            while low < high:
                middle = (low + high) // 2
                if rules[middle].settled(votes, left):
                    low = middle + 1
                else:
                    high = middle
            found[state] = low
    return found
