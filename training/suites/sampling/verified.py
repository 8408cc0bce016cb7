"""Who gets the next sample where a perfect verifier tells which passed? The posterior's choice against round robin.

A budget of b samples per query is shared by all; a query is done at its first sample that passes. Round robin goes
round the open queries; the posterior allocation always draws where the next sample is likeliest to pass, a / (a + b +
failures) for a pass rate ~ Beta(a, b) from the predictors. A weak prior misleads: it is shrunk towards one rate for all
by the factor that solved most on the tuning half (0: round robin).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from predictors.pass_rate import pass_rate
from training.sampling.expected import Expected, Learn
from training.sampling.problem import Problem
from training.sampling.split import Split
from training.suites.sampling.decided import POINT, Decided

Floats = NDArray[np.float64]
BUDGETS = (0.5, 1.0, 2.0, 4.0, 8.0)  # samples per query
FEWEST = 2  # samples of a query
SPLITS_OF = 10  # splits that are measured: each needs a fit, also of backends that are not worth stopping
TRIED = 8  # permutations that the shrinkage is chosen on
SHRUNK = (0.0, 0.5, 1.0)  # how much of a prior's log-odds is kept
ROUND_ROBIN = "round_robin"


def verified(problem: Problem, split: Split, learn: Learn, ours: str) -> Iterator[Decided]:
    """Both allocations of one split at every budget; nothing where nothing can be learned."""
    expected = learn(split)
    if expected is None:
        return
    tuning, measured = np.flatnonzero(split.tuning), split.measured
    priors = [shrunk(expected, tuning, keep) for keep in SHRUNK]
    tried = [first_pass(problem, number)[tuning] for number in range(TRIED)]
    passed = first_pass(problem, split.number)[measured]
    rng = np.random.default_rng([problem.seed, split.number])
    ties = rng.random((TRIED, len(tuning)))
    mine = rng.random(len(measured))
    for budget in BUDGETS:
        solved = [
            sum(
                int((allocated(prior[tuning], first, tie, problem.most, budget) > first).sum())
                for first, tie in zip(tried, ties, strict=True)
            )
            for prior in priors
        ]
        best = int(np.argmax(solved))
        for subject, place in ((ROUND_ROBIN, 0), (ours, best)):
            drawn = allocated(priors[place][measured], passed, mine, problem.most, budget)
            label = ROUND_ROBIN if place == 0 else f"posterior, {SHRUNK[place]:g} of the prior"
            yield Decided(
                subject, split.number, f"{POINT}{budget:g}", label, measured, drawn.astype(np.int16)
            )


def first_pass(problem: Problem, permutation: int) -> NDArray[np.int64]:
    """How many samples come before the first that passes, (n,); N where none does."""
    passes = problem.recording.columns.reward[problem.order(permutation)] >= 1
    return np.asarray(np.where(passes.any(axis=1), passes.argmax(axis=1), problem.most), np.int64)


def shrunk(expected: Expected, tuning: NDArray[np.int64], keep: float) -> Floats:
    """(n, 2): a and b of every query's pass rate, its log-odds drawn towards the tuning half's mean."""
    odds = np.log(expected.right / (1 - expected.right))
    middle = odds[tuning].mean()
    right = 1 / (1 + np.exp(-(middle + keep * (odds - middle))))
    rho = (expected.both - expected.right**2) / (expected.right - expected.right**2)
    return np.array([pass_rate(p, p * p + r * (p - p * p)) for p, r in zip(right, rho, strict=True)])


def allocated(
    prior: Floats, first: NDArray[np.int64], ties: Floats, most: int, budget: float
) -> NDArray[np.int64]:
    """Samples that each query gets, (n,): the likeliest next first, of equals by `ties`, none after the first pass.

    A query's chance only falls as it fails, so the order of all (query, failures) is known before the first draw.
    """
    n = len(prior)
    failures = np.arange(most)
    chance = prior[:, :1] / (prior.sum(axis=1, keepdims=True) + failures)
    there = failures <= first[:, None]
    query = np.nonzero(there)[0]
    order = np.lexsort((ties[query], -np.round(chance[there], 9)))
    return np.bincount(query[order[: round(budget * n)]], minlength=n)
