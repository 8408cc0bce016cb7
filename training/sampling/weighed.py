"""`value_of_next` where samples bring evidence, at a range of costs; the answer is the selector `weighted`'s."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from router.stopping.value_of_next import ValueOfNext
from training.fit.evidence import models_of
from training.sampling.candidates import Candidates
from training.sampling.expected import Expected
from training.sampling.runs import Runs
from training.sampling.weighed_runs import Votes, weighed_runs
from training.sampling.worth import first_true

Floats = NDArray[np.float64]
COSTS = tuple(round(float(cost), 5) for cost in np.geomspace(0.0002, 0.1, 24))
TRIED, LEAST_TRIED = 16, 4  # permutations that settings are compared on
MANY = 400_000  # samples in all of these: the more queries there are, the less a permutation adds


def weighed(runs: Runs, expected: Expected, evidence: Floats) -> Candidates:
    """From the dearest sample to the cheapest; the last one without tuning."""
    rule = ValueOfNext()
    rho = (expected.both - expected.right**2) / (expected.right - expected.right**2)
    models = models_of(expected.right, float(np.median(rho)))
    costs = np.array([*COSTS[::-1], rule.cost_weighed])

    @lru_cache(maxsize=2)
    def played(permutation: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(costs, n) samples, and (n, N) the arrival that answers after each."""
        said = evidence[runs.rows[permutation]]
        seen = weighed_runs(Votes(runs.classes[permutation], said, models))
        enough = seen.worth <= costs[:, None, None]  # never without a vote
        return first_true(enough), seen.speaker

    def answered(permutation: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Samples and rewards, (costs, n) both."""
        stops, speaker = played(permutation)
        arrival = np.take_along_axis(speaker[None], (stops - 1)[..., None], axis=2)[..., 0]
        rows = np.take_along_axis(runs.rows[permutation][None], arrival[..., None], axis=2)[..., 0]
        return stops, runs.problem.recording.columns.reward[rows].astype(np.float64)

    few = max(LEAST_TRIED, min(TRIED, MANY // max(1, evidence.size)))
    tried = [answered(permutation) for permutation in range(min(few, runs.shape[0]))]

    def speaks(setting: int, permutation: int) -> NDArray[np.int64]:
        stops, speaker = played(permutation)
        arrival: NDArray[np.int64] = speaker[np.arange(len(speaker)), stops[setting] - 1]
        return arrival

    return Candidates(
        (*(f"cost {cost:g}" for cost in COSTS[::-1]), "untuned"),
        np.mean([stops for stops, _ in tried], axis=0),
        np.mean([right for _, right in tried], axis=0),
        lambda setting, permutation: played(permutation)[0][setting].astype(np.int16),
        len(COSTS),
        careful=True,
        speaks=speaks,
    )
