"""The suite's figures, from decision rows and the recording alone.

Rows are taken block by block, in any order; the same figures come out of the file that `--decisions` wrote. The
`always:…` rows say which backend is the cheapest and which the best, and what each earns on any set of queries.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from router.recording import Recording
from training.decision_rows import DecisionRows, answering_row
from training.figures.hull import Hull, Single, cost_figures, equal_cost
from training.figures.ranking import auroc
from training.figures.risk import over_halves
from training.figures.share_curve import ShareCurve
from training.figures.spread import Spread, spread

RISKS = (0.05, 0.10)
BASELINES = ("zero_router", "knn", "lookup")
RIGHT = 0.5  # a graded reward of this or more counts as right, for AUROC and risk

Split = tuple[int, int]  # seed, fold
Values = dict[Split, dict[str, float]]


@dataclass(frozen=True, slots=True)
class Part:
    """One subject in one split: its test queries, and one entry per operating point."""

    query: NDArray[np.int32]  # (n,) index into Recording.queries
    p_small_wrong: NDArray[np.float64]  # (n,) or NaN
    cost: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    by_backend: list[NDArray[np.float64]] = field(default_factory=list)  # share of the answers, (backends,)


class RoutingFigures:
    """Collects the blocks of one recording; `figures` when all have come."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self._parts: dict[str, dict[Split, Part]] = defaultdict(dict)
        shape = (len(recording.backends), len(recording.queries))
        self._reward: dict[int, NDArray[np.float64]] = defaultdict(lambda: np.full(shape, np.nan))  # by seed
        self._cost: dict[int, NDArray[np.float64]] = defaultdict(lambda: np.full(shape, np.nan))

    def take(self, rows: DecisionRows) -> None:
        """Add a block."""
        key, seen = rows.key, self.recording.columns
        answered = answering_row(rows, self.recording)
        reward = seen.reward[answered].astype(np.float64)
        if key.subject.startswith("always:"):
            backend = self.recording.backends.index(key.subject.removeprefix("always:"))
            self._reward[key.seed][backend, rows.query] = reward
            self._cost[key.seed][backend, rows.query] = rows.cost
        part = self._parts[key.subject].setdefault(
            (key.seed, key.fold), Part(rows.query, rows.signals.column("p_small_wrong"))
        )
        part.cost.append(float(rows.cost.mean()))
        part.accuracy.append(float(reward.mean()))
        answers = np.bincount(seen.backend[answered], minlength=len(self.recording.backends))
        part.by_backend.append(answers / len(rows))

    def figures(self) -> dict[str, dict[str, Spread | float]]:
        """Subject -> figure -> value; figures without a meaning are left out."""
        cheapest, best = self._cheapest_and_best()
        values: dict[str, Values] = {}
        for subject, parts in self._parts.items():
            values[subject] = {
                split: self._of_split(subject, split[0], part, cheapest, best)
                for split, part in parts.items()
            }
        paired = _over_best_baseline(values)
        found: dict[str, dict[str, Spread | float]] = {}
        for subject, by_split in values.items():
            figures = _spreads(by_split)
            if subject in paired:
                figures |= _spreads(paired[subject])
            figures |= self._risk(self._parts[subject], cheapest, best)
            figures["queries"] = float(sum(len(part.query) for part in self._parts[subject].values()))
            found[subject] = figures
        return found

    def mean_points(self) -> dict[str, tuple[list[float], list[float]]]:
        """Subject -> cost ($ per 1,000 queries) and accuracy of its operating points, mean over the splits."""
        found = {}
        for subject, parts in self._parts.items():
            points = min(len(part.cost) for part in parts.values())
            cost = np.mean([part.cost[:points] for part in parts.values()], axis=0)
            accuracy = np.mean([part.accuracy[:points] for part in parts.values()], axis=0)
            found[subject] = ((1000 * cost).tolist(), accuracy.tolist())
        return found

    def _cheapest_and_best(self) -> tuple[int, int]:
        # (backends,)
        reward = np.mean([_mean_of_known(rewards) for rewards in self._reward.values()], axis=0)
        cost = np.mean([_mean_of_known(costs) for costs in self._cost.values()], axis=0)
        there = np.flatnonzero(~np.isnan(reward))
        cheapest = there[np.argmin(cost[there])]
        best = there[np.lexsort((cost[there], -reward[there]))[0]]
        return int(cheapest), int(best)

    def _alone(self, seed: int, backend: int, query: NDArray[np.int32]) -> Single:
        return Single(
            float(self._reward[seed][backend, query].mean()), float(self._cost[seed][backend, query].mean())
        )

    def _of_split(self, subject: str, seed: int, part: Part, cheapest: int, best: int) -> dict[str, float]:
        small, large = self._alone(seed, cheapest, part.query), self._alone(seed, best, part.query)
        hull = Hull.of(part.cost, part.accuracy)
        spent = float(np.clip(equal_cost(small, large), hull.cost[0], hull.cost[-1]))
        found = {"accuracy": hull.at(spent), "cost": 1000 * spent}
        wrong = self._reward[seed][cheapest, part.query] < RIGHT
        found["auroc_small_wrong"] = auroc(part.p_small_wrong, wrong) if _known(part) else float("nan")
        if cheapest == best or subject.startswith("always:"):
            return found
        if small.cost < large.cost:
            found |= cost_figures(list(zip(part.cost, part.accuracy, strict=True)), small, large)
        if len(self._backends()) == 2 and small.accuracy < large.accuracy:
            share = [float(answers[best]) for answers in part.by_backend]
            curve = ShareCurve.of(
                list(zip(share, part.accuracy, strict=True)), small.accuracy, large.accuracy
            )
            found["apgr"] = curve.area()
            found["cpt50"], found["cpt80"] = curve.first_reaching(0.5), curve.first_reaching(0.8)
        return found

    def _backends(self) -> list[str]:
        return [subject for subject in self._parts if subject.startswith("always:")]

    def _risk(self, parts: Mapping[Split, Part], cheapest: int, best: int) -> dict[str, Spread | float]:
        if cheapest == best or not all(map(_known, parts.values())):
            return {}
        by_seed = []
        for seed in sorted({split[0] for split in parts}):
            mine = [part for split, part in sorted(parts.items()) if split[0] == seed]
            query = np.concatenate([part.query for part in mine])
            score = np.concatenate([part.p_small_wrong for part in mine])
            rewards = self._reward[seed]
            loss = (rewards[cheapest, query] < RIGHT) & (rewards[best, query] >= RIGHT)
            by_seed.append([over_halves(score, loss, risk, seed) for risk in RISKS])
        found: dict[str, Spread | float] = {}
        for place, risk in enumerate(RISKS):
            mine_at = [figures[place] for figures in by_seed]
            found[f"splits_over_risk@{risk:.2f}"] = float(np.mean([one.splits_over_risk for one in mine_at]))
            found[f"kept_small@{risk:.2f}"] = float(np.mean([one.kept for one in mine_at]))
            found[f"kept_small_of_best@{risk:.2f}"] = float(np.mean([one.kept_of_best for one in mine_at]))
        found["kept_small"] = found[f"kept_small@{RISKS[0]:.2f}"]
        return found


def _known(part: Part) -> bool:
    return not bool(np.isnan(part.p_small_wrong).any())


def _mean_of_known(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean of each row over its known entries; NaN for a row without any."""
    known = ~np.isnan(values)
    count = known.sum(axis=1)
    total = np.where(known, values, 0.0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _over_best_baseline(values: Mapping[str, Values]) -> dict[str, Values]:
    """Accuracy at equal cost minus that of the best baseline, in points, paired by split."""
    there = [name for name in BASELINES if name in values]
    if not there:
        return {}
    best = max(there, key=lambda name: float(np.mean([found["accuracy"] for found in values[name].values()])))
    paired: dict[str, Values] = {}
    for subject, by_split in values.items():
        if subject.startswith("apportion") and subject != "apportion:unseen":  # its folds have other queries
            paired[subject] = {
                split: {"over_best_baseline": 100 * (found["accuracy"] - values[best][split]["accuracy"])}
                for split, found in by_split.items()
            }
    return paired


def _spreads(by_split: Values) -> dict[str, Spread | float]:
    found: dict[str, Spread | float] = {}
    names: Iterable[str] = dict.fromkeys(name for figures in by_split.values() for name in figures)
    seeds = sorted({seed for seed, _ in by_split})
    for name in names:
        one = spread(
            [
                [
                    figures.get(name, float("nan"))
                    for split, figures in sorted(by_split.items())
                    if split[0] == seed
                ]
                for seed in seeds
            ]
        )
        if one is not None:
            found[name] = one
    return found
