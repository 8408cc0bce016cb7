"""The figures of pruning, from decision rows and the recording alone; `pruned` says what is compared.

`accuracy` of the vote over what is left, `full_accuracy` of the vote over all samples that grew together, the
difference in points (`realised_loss`) and `tokens_saved`, in percent of all samples' tokens: a dropped sample costs its
tokens up to the check-point, and every look at a sample that is asked for its answer, or dropped, 20 tokens more. Means
over orders; the 95 % intervals are over queries.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from router.recording import Recording
from router.recordings.cost import SNAPSHOT_TOKENS
from training.decision_rows import DecisionRows
from training.figures.spread import Spread, over_queries
from training.sampling.problem import answer_groups
from training.suites import Figures
from training.suites.early_exit.pruned import TOGETHER

Floats = NDArray[np.float64]
_SUMS = ("right", "full", "spent", "length")


@dataclass(slots=True)
class PrunedFigures:
    """Collects the blocks of one recording; `figures` when all have come."""

    recording: Recording
    _by_order: dict[str, list[dict[str, Floats]]] = field(default_factory=lambda: defaultdict(list))
    _queries: dict[str, NDArray[np.int32]] = field(default_factory=dict)
    _groups: NDArray[np.int32] | None = None

    def take(self, rows: DecisionRows) -> None:
        """Add a block: one order of every query's samples."""
        seen = self.recording.columns
        owner = np.repeat(np.arange(len(rows)), np.diff(rows.samples_from))
        backend = self.recording.backends[int(seen.backend[rows.sample_row[0]])]
        values = {name: np.zeros(len(rows)) for name in _SUMS}
        known = {text: place for place, text in enumerate(self.recording.answers)}
        together = rows.signals.column(TOGETHER)
        for place in range(len(rows)):
            mine = rows.sample_row[owner == place]
            finished = mine[seen.finished[mine]]
            answer = int(rows.answer[place])
            if rows.answers is not None and answer >= 0:
                answer = known.get(rows.answers[answer], -1)
            gives = finished[seen.answer[finished] == answer]
            values["right"][place] = float(
                seen.reward[gives[0] if answer >= 0 and len(gives) else finished[0]]
            )
            spent: dict[int, float] = {}
            for row in mine.tolist():
                number = int(seen.sample_idx[row])
                spent[number] = max(spent.get(number, 0.0), float(seen.tokens_out[row]))
            values["spent"][place] = sum(spent.values()) + SNAPSHOT_TOKENS * float(
                (~seen.finished[mine]).sum()
            )
            first = self.recording.rows(int(rows.query[place]), backend).start
            every = np.arange(first, first + int(together[place]))
            values["length"][place] = float(seen.tokens_out[every].sum())
            values["full"][place] = self._voted(every)
        self._by_order[rows.key.subject].append(values)
        self._queries[rows.key.subject] = rows.query

    def _voted(self, rows: NDArray[np.int64]) -> float:
        """The reward of the most frequent answer, of equally frequent ones their mean: that of a random order."""
        if self._groups is None:
            self._groups = answer_groups(self.recording)
        reward, group = self.recording.columns.reward[rows], self._groups[rows]
        numbers, votes = np.unique(group[group >= 0], return_counts=True)
        if not len(numbers):
            return float(reward.mean())
        return float(np.mean([reward[group == one].mean() for one in numbers[votes == votes.max()]]))

    def figures(self) -> Figures:
        """Subject -> figure -> value."""
        found: dict[str, dict[str, Spread | float]] = {}
        for subject, orders in self._by_order.items():
            total = {name: np.sum([one[name] for one in orders], axis=0) for name in _SUMS}
            times = np.full(len(self._queries[subject]), float(len(orders)))
            usual = float(total["length"].sum() / times.sum())

            def told(values: Floats, each: list[float], times: Floats = times) -> Spread:
                return over_queries(each, values, times)

            saved = [100 * (1 - one["spent"].sum() / one["length"].sum()) for one in orders]
            lost = [100 * float((one["full"] - one["right"]).mean()) for one in orders]
            found[subject] = {
                "accuracy": told(total["right"], [float(one["right"].mean()) for one in orders]),
                "full_accuracy": told(total["full"], [float(one["full"].mean()) for one in orders]),
                "tokens_saved": told(100 * (total["length"] - total["spent"]) / usual, saved),
                "realised_loss": told(100 * (total["full"] - total["right"]), lost),
                "queries": float(len(times)),
            }
        return found
