"""`instance_adaptive`: so many samples as the query's expected pass rate asks for, whatever comes back."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from router.stopping.instance_adaptive import InstanceAdaptive, lower_pass_rate, samples_needed
from training.sampling.candidates import Candidates
from training.sampling.known import Known
from training.sampling.split import Split

COVERAGES = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)


def instance_adaptive(known: Known) -> Callable[[Split], Candidates | None]:
    """The rule's quantile of the pass rate at a range of coverages; it waits for one vote at least."""
    runs = known.runs
    usual = InstanceAdaptive()
    first_vote = np.where(
        (runs.classes >= 0).any(axis=2), (runs.classes >= 0).argmax(axis=2) + 1, runs.problem.most
    )

    def offers(split: Split) -> Candidates | None:
        expected = known.learn(split)
        if expected is None:
            return None
        low = [
            lower_pass_rate(round(right, 4), round(both, 4), usual.quantile)
            for right, both in zip(expected.right.tolist(), expected.both.tolist(), strict=True)
        ]
        wanted = np.array([[samples_needed(rate, coverage) for rate in low] for coverage in COVERAGES])
        stops = np.maximum(np.minimum(wanted, runs.problem.most)[:, None], first_vote)
        labels = tuple(f"coverage {coverage}" for coverage in COVERAGES)
        return Candidates.of(runs, labels, stops, COVERAGES.index(usual.coverage))

    return offers
