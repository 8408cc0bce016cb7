"""The suite's figures, from decision rows and the recording alone.

Rows are taken block by block, in any order; the same figures come out of the file that `--decisions` wrote. A figure's
mean and standard deviation are over splits; its 95 % interval is over queries (each with its mean over the splits that
measured it, paired with its own reference where it is a loss), because splits share their queries.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from router.recording import Recording
from training.decision_rows import DecisionRows, answering_row
from training.figures.spread import Spread, over_queries
from training.sampling.problem import Problem, problems_of
from training.sampling.runs import reference_rewards
from training.suites.sampling.decided import POINT
from training.suites.sampling.run_splits import DEFAULT, OURS, point_of
from training.suites.sampling.verified import FEWEST, ROUND_ROBIN

Floats = NDArray[np.float64]
Figures = dict[str, dict[str, Spread | float]]
BEST_OF = ("beta", "window", "dirichlet", "majority_certificate")
FIXED = "fixed"
TOLD = point_of(0.5)  # the point of `accuracy` and `mean_samples`
Split = tuple[int, int]  # seed, fold


@dataclass(slots=True)
class Measured:
    """One subject at one operating point; sums over splits, by place in Recording.queries."""

    samples: Floats
    right: Floats
    loss: Floats  # points
    times: Floats
    by_split: dict[Split, tuple[float, float, float]] = field(default_factory=dict)  # means

    @classmethod
    def empty(cls, queries: int) -> Measured:
        """Of so many queries."""
        return cls(np.zeros(queries), np.zeros(queries), np.zeros(queries), np.zeros(queries))

    def spread(self, which: int) -> Spread:
        """0: samples, 1: right, 2: loss."""
        total = (self.samples, self.right, self.loss)[which]
        return over_queries([values[which] for values in self.by_split.values()], total, self.times)

    def mean(self, which: int) -> float:
        """The mean over splits."""
        return float(np.mean([values[which] for values in self.by_split.values()]))


@dataclass(slots=True)
class SamplingFigures:
    """Collects the blocks of one recording; `figures` when all have come."""

    recording: Recording
    _problems: dict[int, dict[str, Problem]] = field(default_factory=dict)
    _reference: dict[tuple[int, str], Floats] = field(default_factory=dict)
    _found: dict[str, dict[str, Measured]] = field(default_factory=lambda: defaultdict(dict))
    _backend: dict[str, str] = field(default_factory=dict)
    # (subject, operating point) -> split -> the queries, and which of them a sample passed
    _solved: dict[tuple[str, str], dict[Split, tuple[NDArray[np.int32], NDArray[np.bool_]]]] = field(
        default_factory=dict
    )

    def subject(self, name: str, backend: str) -> str:
        """`name` of the backend with most samples per query, `<name>:<backend>` of the others."""
        return name if backend == next(iter(self._problems_at(0))) else f"{name}:{backend}"

    def take(self, rows: DecisionRows) -> None:
        """Add a block."""
        key, seen = rows.key, self.recording.columns
        backend = key.subject.partition(":")[2] or next(iter(self._problems_at(0)))
        self._backend[key.subject] = backend
        samples = np.diff(rows.samples_from).astype(np.float64)
        if key.operating_point.startswith(POINT):
            owner = np.repeat(np.arange(len(rows)), samples.astype(np.int64))
            solved = np.bincount(owner, seen.reward[rows.sample_row] >= 1, minlength=len(rows)) > 0
            where = (key.subject, key.operating_point)
            self._solved.setdefault(where, {})[key.seed, key.fold] = (rows.query, solved)
            return
        right = seen.reward[answering_row(rows, self.recording)].astype(np.float64)
        loss = 100 * (self._reference_at(key.seed, backend)[rows.query] - right)
        points = self._found[key.subject]
        if key.operating_point not in points:
            points[key.operating_point] = Measured.empty(len(self.recording.queries))
        measured = points[key.operating_point]
        for total, values in ((measured.samples, samples), (measured.right, right), (measured.loss, loss)):
            total[rows.query] += values
        measured.times[rows.query] += 1
        means = (float(samples.mean()), float(right.mean()), float(loss.mean()))
        measured.by_split[key.seed, key.fold] = means

    def figures(self) -> Figures:
        """Subject -> figure -> value; figures without a meaning are left out."""
        found: Figures = {}
        for subject in self._backend:
            points = self._found.get(subject, {})
            problem = self._problems_at(0)[self._backend[subject]]
            values: dict[str, Spread | float] = {}
            if TOLD in points:
                values["accuracy"] = points[TOLD].spread(1)
                values["mean_samples"] = points[TOLD].spread(0)
            for point, measured in points.items():
                values[f"saved@{point}"] = saved(measured.spread(0), problem.most)
                values[f"realised_loss@{point}"] = measured.spread(2)
            if subject.partition(":")[0] == OURS:
                values |= self._against_others(subject) | self._allocation_gains(subject)
            if subject.partition(":")[0] == ROUND_ROBIN:
                values |= {
                    f"solved@{point.removeprefix(POINT)}": float(
                        np.mean([np.mean(one) for _, one in by.values()])
                    )
                    for (name, point), by in self._solved.items()
                    if name == subject
                }
            if subject.partition(":")[0] == FIXED:
                seeds = sorted({seed for measured in points.values() for seed, _ in measured.by_split})
                reference = np.stack(
                    [self._reference_at(seed, problem.backend)[problem.queries] for seed in seeds]
                )
                values["reference"] = float(reference.mean())
                values["most"] = float(problem.most)
            found[subject] = values | {
                "queries": float(len(problem.queries)),
                "left_out": float(problem.left_out),
            }
        return found

    def _against_others(self, subject: str) -> dict[str, Spread | float]:
        suffix = subject.removeprefix(OURS)
        ours = self._found.get(subject, {}).get(TOLD)
        if ours is None:
            return {}
        here = (ours.mean(0), ours.mean(1))
        fewer = {
            name: fewer_than(self._found[name + suffix], here)
            for name in (FIXED, *BEST_OF)
            if name + suffix in self._found
        }
        rules = [value for name, value in fewer.items() if name != FIXED]
        found: dict[str, Spread | float] = {}
        if FIXED in fewer:
            found["fewer_than_fixed"] = fewer[FIXED]
        if rules:
            found["fewer_than_best_rule"] = min(rules)
        return found

    def _allocation_gains(self, subject: str) -> dict[str, Spread | float]:
        """Points more solved than by round robin on the same samples, paired query by query."""
        found: dict[str, Spread | float] = {}
        for (name, point), by_split in self._solved.items():
            other = self._solved.get((ROUND_ROBIN + subject.removeprefix(OURS), point))
            if name != subject or other is None:
                continue
            gain, times = np.zeros(len(self.recording.queries)), np.zeros(len(self.recording.queries))
            means = []
            for split, (queries, solved) in by_split.items():
                more = 100 * (solved.astype(np.float64) - other[split][1])
                gain[queries] += more
                times[queries] += 1
                means.append(float(more.mean()))
            found[f"allocation_gain@{point.removeprefix(POINT)}"] = over_queries(means, gain, times)
        return found

    def _problems_at(self, seed: int) -> dict[str, Problem]:
        if seed not in self._problems:
            self._problems[seed] = {one.backend: one for one in problems_of(self.recording, seed, FEWEST)}
        return self._problems[seed]

    def _reference_at(self, seed: int, backend: str) -> Floats:
        if (seed, backend) not in self._reference:
            problem = self._problems_at(seed)[backend]
            reference = np.full(len(self.recording.queries), np.nan)
            reference[problem.queries] = reference_rewards(problem)
            self._reference[seed, backend] = reference
        return self._reference[seed, backend]


def saved(samples: Spread, most: int) -> Spread:
    """Percent of N samples that are not drawn."""
    scale = 100 / most
    return Spread(
        100 - scale * samples.mean, scale * samples.sd, 100 - scale * samples.hi, 100 - scale * samples.lo
    )


def fewer_than(other: dict[str, Measured], here: tuple[float, float]) -> float:
    """Percent fewer samples than another subject draws at equal realised accuracy; `here`: (samples, accuracy).

    The other's points (mean samples, mean accuracy) are joined by straight lines; beyond its ends, its nearest end.
    """
    points = sorted((one.mean(0), one.mean(1)) for name, one in other.items() if name != DEFAULT)
    samples = np.array([at for at, _ in points])
    accuracy = np.maximum.accumulate([right for _, right in points])
    needed = float(np.interp(here[1], accuracy, samples))
    return 100 * (1 - here[0] / needed)
