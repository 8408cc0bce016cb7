"""What the predictors expect of every query, learned from the tuning half's labels alone.

The heads are the ones that serve (`training.fit`), fitted on the tuning half and on the queries that the problem leaves
out (they are never measured; none shares its text with one that is). What they were fitted on is predicted while its
fold is held out, the measured half by the fitted bundle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from predictors.errors import FitError
from router.recordings.text_split import normalised
from router.stopping.value_of_next import UNSURE
from training.fit.heads import fit_held_out
from training.fit.rows import rows_of
from training.sampling.judged import evidence_of, judging
from training.sampling.problem import LEAST_SAMPLES, Problem
from training.sampling.split import Split

Floats = NDArray[np.float64]
MOST_QUERIES = 2_000  # that are learned from, chosen by the seed
# A suite has to end: a split of a judged problem takes 4 s for its heads and 25 us a sample. What does not fit into the
# room is decided by votes alone.
MOST_JUDGED = 170_000  # samples of a problem: bounds the memory for their texts
FITS = 160_000  # samples that could be judged while the heads are fitted
ROOM = 500_000  # samples of all problems, with `FITS` for each


@dataclass(frozen=True, slots=True)
class Expected:
    """Of the n queries of a problem, before their first sample."""

    right: Floats = field(compare=False)  # (n,) P(a sample is right), (0, 1)
    both: Floats = field(compare=False)  # (n,) P(two samples are right)
    # by row of the columns, what a sample says for itself as far as believed; None: nothing is
    evidence: Floats | None = field(default=None, compare=False)

    @classmethod
    def of(cls, right: Floats, rho: float, evidence: Floats | None = None) -> Expected:
        """Of `right` (n,) in [0, 1], where two samples of a query correlate by `rho`; nothing stays certain.

        A calibrated head may say 0 or 1, which have no log-odds: as far from these as the serving rule keeps.
        """
        kept = np.clip(right, UNSURE, 1 - UNSURE)
        return cls(kept, kept * kept + rho * (kept - kept * kept), evidence)


Learn = Callable[[Split], Expected | None]


def worth_judging(problems: Iterable[Problem]) -> tuple[str, ...]:
    """Backends whose samples are judged: those of a recording's problems, in their order, that find room."""
    room, found = ROOM, []
    for problem in problems:
        takes = FITS + problem.most * len(problem.queries)
        if _enough(problem) and takes <= room:
            room -= takes
            found.append(problem.backend)
    return tuple(found)


def _enough(problem: Problem) -> bool:
    """Samples of a query, and not too many of all."""
    return problem.most >= LEAST_SAMPLES and problem.most * len(problem.queries) <= MOST_JUDGED


def learner(problem: Problem, judges: bool = True) -> Learn:
    """What a split's tuning half teaches; None where it is too small to be learned from.

    `judges`: whether samples may speak for themselves, where there are enough of a query.
    """
    recording, name = problem.recording, problem.backend
    rows = rows_of([recording], None, recorded_as={name: name})
    judges = judges and _enough(problem)
    if not judges:
        rows = replace(rows, samples=())
    place = {query_id: at for at, (_, query_id) in enumerate(rows.ids)}
    own = np.array([place[recording.queries[query].query_id] for query in problem.queries])
    labelled = np.isfinite(rows.reward[:, 0])
    texts = [normalised(text) for text in rows.texts]
    within = {texts[at] for at in own}
    outside = np.array([text not in within for text in texts])
    judged = judging(rows, own) if judges else None
    seen: dict[int, Expected | None] = {}

    def learn(split: Split) -> Expected | None:
        tuning = outside.copy()
        tuning[own[split.tuning]] = True
        train = np.flatnonzero(labelled & tuning)
        rng = np.random.default_rng([problem.seed, split.number])
        train = np.sort(rng.permutation(train)[:MOST_QUERIES])
        try:
            fitted = fit_held_out(rows.taken(train), problem.seed, with_samples=False)
        except FitError:
            return None
        right = np.empty(len(rows.texts))
        rest = np.setdiff1d(own, train)
        right[train] = fitted.query.held_out[:, 0]
        if len(rest):
            right[rest] = fitted.bundle.look_many([rows.texts[at] for at in rest])[f"p_correct/{name}"]
        said = None if judged is None else evidence_of(rows, fitted, train, judged, problem.seed)
        return Expected.of(right[own], float(fitted.bundle.rho[0]), said)

    def once(split: Split) -> Expected | None:
        if split.number not in seen:
            seen[split.number] = learn(split)
        return seen[split.number]

    return once
