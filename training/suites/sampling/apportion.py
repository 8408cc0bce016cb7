"""`value_of_next` by votes alone, and `apportion`: the same rule with what the predictors say of queries and samples.

What a sample costs is set on the tuning half, like every other rule's parameter, and with it how far the expectations
are believed: slope and shift of their log-odds. Choosing among many settings favours lucky ones, so both choose with
care (`Candidates.careful`). At the default nothing is tuned: the rule's own numbers. Where samples say something for
themselves beyond the votes, they are weighed (`training.suites.sampling.weighed`), and the cost alone is tuned.

A plan's stop may be any rule. Where a simple one draws fewer samples, because there is little to be told apart or too
few queries to choose with care among many settings, `apportion` tunes that one (`Candidates.taken`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from predictors.pass_rate import correlation
from router.stopping.value_of_next import COSTS_PER_DOUBLING, LOGIT_STEP, RHO_STEP, ValueOfNext
from training.suites.sampling.candidates import Candidates
from training.suites.sampling.known import Known
from training.suites.sampling.runs import Runs
from training.suites.sampling.split import Split
from training.suites.sampling.weighed import weighed
from training.suites.sampling.worth import ODDS, OWN, Lattice, Worth, first_true

Places = NDArray[np.int64]
SIMPLE = ("fixed", "beta", "window", "dirichlet", "majority_certificate")
SLOPES = (0.0, 1.0, 2.0)
SHIFTS = (-2, 0, 2)  # steps of log-odds
TUNED = Lattice((5,), (5.0, 0.4), tuple(range(-44, -15, 2)))  # costs from .0005 to .06
USUAL = ValueOfNext()
UNTUNED = Lattice(tuple(range(1, 10)), (USUAL.concentration, USUAL.discount), (OWN,))


def value_of_next(known: Known) -> Callable[[Split], Candidates]:
    """One P(right) for all queries, tuned with the cost."""
    runs = known.runs
    ways = np.arange(1, len(ODDS) - 1, 2)
    places = np.repeat(ways[:, None], runs.shape[1], axis=1)
    usual = np.full(runs.shape[1], ODDS.index(0)), np.full(runs.shape[1], round(USUAL.alike / RHO_STEP) - 1)
    found = _candidates(
        runs, known.worth(TUNED), places, [f"odds {ODDS[way] * LOGIT_STEP:g}" for way in ways],
        known.worth(UNTUNED), *usual,
    )  # fmt: skip
    return lambda split: found


def apportion(known: Known) -> Callable[[Split], Candidates | None]:
    """Each query's own P(right); beside simple rules."""
    own = by_expectation(known)

    def offers(split: Split) -> Candidates | None:
        found = own(split)
        if found is None:
            return None
        rivals = [known.prepared(name)(split) for name in SIMPLE]
        return replace(
            found,
            rivals=tuple(
                replace(one, labels=tuple(f"{name} {label}" for label in one.labels))
                for name, one in zip(SIMPLE, rivals, strict=True)
                if one is not None
            ),
        )

    return offers


def by_expectation(known: Known) -> Callable[[Split], Candidates | None]:
    """Each query's own P(right), and nothing else."""
    runs = known.runs
    tuned, untuned = known.worth(TUNED), known.worth(UNTUNED)
    ways = list(product(SLOPES, SHIFTS))

    def offers(split: Split) -> Candidates | None:
        expected = known.learn(split)
        if expected is None:
            return None
        if expected.evidence is not None:
            return weighed(runs, expected, expected.evidence)
        odds = np.log(expected.right / (1 - expected.right))
        middle = float(odds[split.tuning].mean())
        turned = [(middle + slope * (odds - middle)) / LOGIT_STEP + shift for slope, shift in ways]
        names = [f"slope {slope:g} shift {shift * LOGIT_STEP:g}" for slope, shift in ways]
        rho = np.array([correlation(*pair) for pair in zip(expected.right, expected.both, strict=True)])
        rhos = np.clip(np.rint(rho / RHO_STEP), 1, 9).astype(np.int64) - 1
        return _candidates(
            runs,
            tuned,
            np.stack([_place(one) for one in turned]),
            names,
            untuned,
            _place(odds / LOGIT_STEP),
            rhos,
        )

    return offers


def _place(steps: NDArray[np.float64]) -> Places:
    """The nearest of `ODDS`."""
    return np.asarray(np.clip(np.rint(steps), ODDS[0], ODDS[-1]), np.int64) - ODDS[0]


def _candidates(
    runs: Runs, tuned: Worth, places: Places, names: list[str], untuned: Worth, usual: Places, rhos: Places
) -> Candidates:
    """`places` (ways, n): index into `ODDS`, at every setting of `tuned`; then the one without tuning."""
    every, settings = np.arange(runs.shape[1]), tuned.lattice.settings
    samples = [tuned.samples[way, :, every].T for way in places] + [untuned.samples[usual, rhos, every][None]]
    right = [tuned.right[way, :, every].T for way in places] + [untuned.right[usual, rhos, every][None]]
    last = len(places) * len(settings)

    def stops(number: int, permutation: int) -> NDArray[np.int16]:
        state = runs.state[permutation]
        if number == last:
            enough = untuned.settled[usual[:, None], rhos[:, None], state]
        else:
            way, setting = divmod(number, len(settings))
            enough = tuned.settled[places[way][:, None], setting, state]
        return first_true(enough).astype(np.int16)

    costs = [f"cost {2 ** (cost / COSTS_PER_DOUBLING):.4g}" for _, cost in settings]
    labels = (*(f"{name} {cost}" for name, cost in product(names, costs)), "untuned")
    return Candidates(labels, np.concatenate(samples), np.concatenate(right), stops, last, careful=True)
