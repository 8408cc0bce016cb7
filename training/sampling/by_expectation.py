"""Where `value_of_next` stops with what is expected of each query, at many costs and degrees of belief.

Cost, slope and shift of the expectations' log-odds are set on the tuning half. Choosing among many settings favours
lucky ones, so they are chosen with care (`Candidates.careful`). The last setting is not tuned: the rule's own numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
from numpy.typing import NDArray

from predictors.pass_rate import correlation
from router.stopping.value_of_next import COSTS_PER_DOUBLING, LOGIT_STEP, RHO_STEP, ValueOfNext
from training.sampling.candidates import Candidates
from training.sampling.known import Known
from training.sampling.runs import Runs
from training.sampling.split import Split
from training.sampling.weighed import weighed
from training.sampling.worth import ODDS, OWN, Lattice, Worth, first_true

Places = NDArray[np.int64]
SLOPES = (0.0, 1.0, 2.0)
SHIFTS = (-2, 0, 2)  # steps of log-odds
TUNED = Lattice((5,), (5.0, 0.4), tuple(range(-44, -15, 2)))  # costs from .0005 to .06
USUAL = ValueOfNext()
UNTUNED = Lattice(tuple(range(1, 10)), (USUAL.concentration, USUAL.discount), (OWN,))


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
        return candidates_at(
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


def candidates_at(
    runs: Runs, tuned: Worth, places: Places, names: list[str], untuned: Worth, usual: Places, rhos: Places
) -> Candidates:
    """Settings of `tuned` at every way to believe the expectations; then the one without tuning.

    `places` (ways, n): index into `ODDS`, named by `names`; `usual` (n,): index into `ODDS`, `rhos` (n,): index
    into the correlations of `untuned`.
    """
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
