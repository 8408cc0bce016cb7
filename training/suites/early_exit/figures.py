"""The suite's figures, from decision rows and the recording alone.

Rows are taken block by block; the same figures come out of the file that `--decisions` wrote. A figure's mean and
standard deviation are over halves. Its 95 % interval is over queries, each with its mean over the halves that measured
it, because halves share their queries. `risk` is the share of traces that stopped, were wrong, and are right at their
end; `splits_over_risk` how often a half's is above the promise; `hindsight_share` what is saved as a share of what the
best threshold (or setting) in hindsight saves on the same half, both summed over the halves. `saved_by_states` is how
many more points of the tokens `states@0.5pt` saves than `best@0.5pt` on the same traces, `lost_by_states` how much more
it loses.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from predictors.exit_head import RIGHT
from router.recording import Recording
from router.recordings.cost import SNAPSHOT_TOKENS
from training.decision_rows import DecisionRows, answering_row
from training.figures.spread import Spread, over_queries
from training.suites import Figures
from training.suites.early_exit.decided import HINDSIGHT

Floats = NDArray[np.float64]
Split = tuple[int, int]  # seed, half
WITH_STATES, WITHOUT_STATES = "states@0.5pt", "best@0.5pt"
_SUMS = ("traces", "right", "full", "spent", "length", "harmed", "stopped", "looks")


@dataclass(slots=True)
class _Half:
    """Sums over one half."""

    sums: dict[str, float] = field(default_factory=lambda: dict.fromkeys(_SUMS, 0.0))
    could_save: float = float("nan")  # share of the tokens

    def rate(self, name: str) -> float:
        """A sum per trace."""
        return self.sums[name] / self.sums["traces"]

    @property
    def saved(self) -> float:
        """Share of the tokens."""
        return 1 - self.sums["spent"] / self.sums["length"]


@dataclass(slots=True)
class EarlyExitFigures:
    """Collects the blocks of one recording; `figures` when all have come."""

    recording: Recording
    _halves: dict[str, dict[Split, _Half]] = field(default_factory=lambda: defaultdict(dict))
    _by_query: dict[str, dict[str, Floats]] = field(default_factory=dict)
    _promised: dict[str, float] = field(default_factory=dict)  # subject -> risk
    _last: NDArray[np.int64] | None = None

    def take(self, rows: DecisionRows) -> None:
        """Add a block."""
        seen, key = self.recording.columns, rows.key
        owner = np.repeat(np.arange(len(rows)), np.diff(rows.samples_from))
        finished = seen.finished[rows.sample_row]
        final = self._final_rows()[rows.sample_row[rows.samples_from[:-1]]]
        had = seen.reward[answering_row(rows, self.recording)].astype(np.float64)
        end = seen.reward[final].astype(np.float64)
        looks = np.bincount(owner, ~finished, minlength=len(rows))
        reached = np.zeros(len(rows))
        np.maximum.at(reached, owner, seen.tokens_out[rows.sample_row])
        ended = np.bincount(owner, finished, minlength=len(rows)) > 0
        values = {
            "traces": np.ones(len(rows)),
            "right": had,
            "full": end,
            "spent": reached + SNAPSHOT_TOKENS * looks,
            "length": seen.tokens_out[final],
            "harmed": (~ended & (had < RIGHT) & (end >= RIGHT)).astype(np.float64),
            "stopped": (~ended).astype(np.float64),
            "looks": looks.astype(np.float64),
        }
        half = self._halves[key.subject].setdefault((key.seed, key.fold), _Half())
        by_query = self._by_query.setdefault(
            key.subject, {name: np.zeros(len(self.recording.queries)) for name in _SUMS}
        )
        for name, each in values.items():
            half.sums[name] += float(each.sum())
            np.add.at(by_query[name], rows.query, each)
        could = rows.signals.column(HINDSIGHT)
        half.could_save = float(could[0]) if len(could) else float("nan")
        if key.operating_point.startswith("risk "):
            self._promised[key.subject] = float(key.operating_point.removeprefix("risk "))

    def figures(self) -> Figures:
        """Subject -> figure -> value."""
        return {subject: self._of(subject) | self._by_states(subject) for subject in self._halves}

    def _of(self, subject: str) -> dict[str, Spread | float]:
        halves, total = list(self._halves[subject].values()), self._by_query[subject]
        times = total["traces"]
        usual = float(total["length"].sum() / times.sum())
        saving = 100 * (total["length"] - total["spent"]) / usual
        found: dict[str, Spread | float] = {
            "accuracy": over_queries([half.rate("right") for half in halves], total["right"], times),
            "full_accuracy": over_queries([half.rate("full") for half in halves], total["full"], times),
            "tokens_saved": over_queries([100 * half.saved for half in halves], saving, times),
            "realised_loss": over_queries(
                [100 * (half.rate("full") - half.rate("right")) for half in halves],
                100 * (total["full"] - total["right"]),
                times,
            ),
            "risk": over_queries([half.rate("harmed") for half in halves], total["harmed"], times),
            "stopped": float(np.mean([half.rate("stopped") for half in halves])),
            "looks": float(np.mean([half.rate("looks") for half in halves])),
        }
        if subject in self._promised:
            over = [half.rate("harmed") > self._promised[subject] for half in halves]
            found["splits_over_risk"] = float(np.mean(over))
        could = [half.could_save for half in halves]
        if np.isfinite(could).all():
            best = sum(share * half.sums["length"] for share, half in zip(could, halves, strict=True))
            saved = sum(half.saved * half.sums["length"] for half in halves)
            found["hindsight_saved"] = float(100 * np.mean(could))
            found["hindsight_share"] = saved / best if best > 0 else 1.0
        return found

    def _by_states(self, subject: str) -> dict[str, Spread]:
        """The paired difference to the same subject without states."""
        name, colon, backend = subject.partition(":")
        other = WITHOUT_STATES + colon + backend
        if name != WITH_STATES or self._halves[subject].keys() != self._halves.get(other, {}).keys():
            return {}
        mine, theirs = self._by_query[subject], self._by_query[other]
        pairs = [(half, self._halves[other][at]) for at, half in self._halves[subject].items()]
        times = mine["traces"]
        usual = float(mine["length"].sum() / times.sum())
        saved = 100 * (theirs["spent"] - mine["spent"]) / usual
        lost = 100 * (theirs["right"] - mine["right"])
        return {
            "saved_by_states": over_queries([100 * (a.saved - b.saved) for a, b in pairs], saved, times),
            "lost_by_states": over_queries(
                [100 * (b.rate("right") - a.rate("right")) for a, b in pairs], lost, times
            ),
        }

    def _final_rows(self) -> NDArray[np.int64]:
        """For every row of the recording the row of its finished sample."""
        if self._last is None:
            seen = self.recording.columns
            keys = list(
                zip(seen.query.tolist(), seen.backend.tolist(), seen.sample_idx.tolist(), strict=True)
            )
            last = {key: row for row, key in enumerate(keys) if seen.finished[row]}
            self._last = np.array([last.get(key, -1) for key in keys], dtype=np.int64)
        return self._last
