"""From what was reported about decisions to one reward in [0, 1] each, as `[rewards]` of router.toml says.

What one source says of one metric of one decision is averaged, by the weights of its reports: saying it again adds no
vote. Sources are then averaged by their configured weights (times the mean weight of their reports), metrics by
theirs; a metric about which nothing was said is left out of that decision's mean. true is 1, numbers are scaled and
clipped, labels have the rewards they are given; comments and demonstrations have none.

A decision about which nothing was reported is not a zero: while it is younger than `wait_s` its label is still to
come, afterwards it has the `default`, or none. With a `wait_s`, a young decision has no label although something came
already: what is reported early is not like what is reported late.

When it fails: outcomes that are reported more readily when they are bad (or good) make the labelled decisions worse
(better) than all decisions; no weighting of what was reported can tell.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from router.config import MetricConfig, RewardsConfig
from training.log.read import DecisionLog

Floats = NDArray[np.float64]


class Label(Enum):
    """Where a decision's reward comes from."""

    NONE = 0  # nothing was reported, and there is no default
    REPORTED = 1
    DEFAULT = 2  # nothing was reported in time
    PENDING = 3  # younger than `wait_s`


@dataclass(frozen=True, slots=True)
class Rewards:
    """Of the n decisions of a log."""

    reward: Floats = field(compare=False)  # (n,) in [0, 1]; NaN: no label
    label: NDArray[np.int8] = field(compare=False)  # (n,) values of `Label`
    share: Floats = field(compare=False)  # (n,) of the metrics' weight that was reported, in [0, 1]
    metrics: tuple[str, ...]  # those that count
    used: int  # outcomes
    left_out: Mapping[str, int]  # reason -> outcomes

    def count(self, label: Label) -> int:
        """How many decisions have their reward from there."""
        return int((self.label == label.value).sum())


def reward_decisions(log: DecisionLog, config: RewardsConfig, now_s: float) -> Rewards:
    """The rewards of a log's decisions; `now_s` (seconds since the epoch) says how old they are."""
    told = _Told(log.outcomes)
    metrics = config.metrics or _commonest(told)
    value, left_out = told.values(metrics, config.sources)
    counts = ~np.isnan(value)
    used = counts[log.pair_outcome]
    outcome, decision = log.pair_outcome[used], log.pair_decision[used]
    n, names = len(log), tuple(metrics)
    # one source's word about one metric of one decision
    word = (decision * len(names) + told.metric_of(names)[outcome]) * told.sources_n + told.source[outcome]
    words, place = np.unique(word, return_inverse=True)
    weight = np.bincount(place, told.weight[outcome], len(words))
    said = np.bincount(place, told.weight[outcome] * value[outcome], len(words)) / np.maximum(weight, 1e-300)
    voice = weight / np.maximum(np.bincount(place, minlength=len(words)), 1)
    voice *= np.array([config.sources.get(name, 1.0) for name in told.source_names])[words % told.sources_n]
    cell = words // told.sources_n  # decision and metric
    voices, sums = (
        np.bincount(cell, each, n * len(names)).reshape(n, len(names)).astype(np.float64)
        for each in (voice, voice * said)
    )
    worth = np.array([metric.weight for metric in metrics.values()])
    there = np.where(voices > 0, worth, 0.0)  # (n, metrics)
    mean = np.divide(sums, voices, out=np.zeros_like(sums), where=voices > 0)
    total = there.sum(axis=1)
    with np.errstate(invalid="ignore"):
        reward = np.where(total > 0, (there * mean).sum(axis=1) / total, np.nan)
    share = total / worth.sum() if names else np.zeros(n)
    young = log.times() > now_s - config.wait_s if config.wait_s else np.zeros(n, dtype=np.bool_)
    label = np.where(total > 0, Label.REPORTED.value, Label.NONE.value).astype(np.int8)
    if config.default is not None:
        silent = (total == 0) & ~log.shadows
        label[silent], reward[silent] = Label.DEFAULT.value, config.default
    label[young], reward[young] = Label.PENDING.value, np.nan
    return Rewards(np.clip(reward, 0.0, 1.0), label, share, names, int(counts.sum()), left_out)


class _Told:
    """The columns of m outcomes."""

    def __init__(self, table: Any) -> None:
        self.metric_names, self._metric = _coded(table["metric"])
        self.source_names, self.source = _coded(table["source"])
        self.sources_n = max(1, len(self.source_names))
        self.kinds, self._kind = _coded(table["kind"])
        self.weight = table["weight"].to_numpy().astype(np.float64)
        self.number = table["number"].to_numpy().astype(np.float64)
        self.text: list[str | None] = table["text"].to_pylist()
        self.about_sample = np.array([bool(name) for name in table["sample_id"].to_pylist()], dtype=np.bool_)

    def metric_of(self, names: tuple[str, ...]) -> NDArray[np.int64]:
        """Each outcome's place among `names`, shape (m,); any where it is not one of them."""
        place = {name: at for at, name in enumerate(names)}
        return np.array([place.get(name, 0) for name in self.metric_names], dtype=np.int64)[self._metric]

    def values(
        self, metrics: Mapping[str, MetricConfig], sources: Mapping[str, float]
    ) -> tuple[Floats, dict[str, int]]:
        """Each outcome's reward, shape (m,), NaN where it has none; and why not, counted."""
        value = np.full(len(self._metric), np.nan)
        why = np.full(len(value), "", dtype=object)
        for code, kind in enumerate(self.kinds):
            if kind not in ("number", "bool", "label"):
                why[self._kind == code] = f"a {kind} has no reward"
        for code, name in enumerate(self.metric_names):
            mine = self._metric == code
            if name not in metrics:
                why[mine & (why == "")] = f"metric {name!r} is not in [rewards.metrics]"
                continue
            metric = metrics[name]
            with np.errstate(over="ignore"):
                scaled = (self.number[mine] - metric.low) / (metric.high - metric.low)
            value[mine] = np.clip(scaled, 0.0, 1.0)
            for row in np.flatnonzero(mine & (self._kind == self._code("label"))):
                label = str(self.text[row])
                value[row] = metric.labels.get(label, np.nan)
                if label not in metric.labels:
                    why[row] = f"label {label[:40]!r} has no reward in [rewards.metrics.{name}]"
        for code, name in enumerate(self.source_names):
            if not sources.get(name, 1.0) > 0:
                why[(self.source == code) & (why == "")] = f"source {name!r} does not count"
        why[~(np.isfinite(self.weight) & (self.weight > 0)) & (why == "")] = "weight is not above 0"
        why[self.about_sample & (why == "")] = "about a sample, not about the answer"
        why[np.isnan(value) & (why == "")] = "not a number"
        value[why != ""] = np.nan
        return value, dict(Counter(why[why != ""].tolist()))

    def usual(self) -> NDArray[np.int64]:
        """How many numbers and booleans each metric has, in the order of `metric_names`."""
        plain = ~np.isnan(self.number) & ~self.about_sample
        return np.bincount(self._metric[plain], minlength=len(self.metric_names))

    def _code(self, kind: str) -> int:
        return self.kinds.index(kind) if kind in self.kinds else -1


def _commonest(told: _Told) -> dict[str, MetricConfig]:
    counts = told.usual()
    if not counts.sum():
        return {}
    return {told.metric_names[int(np.argmax(counts))]: MetricConfig()}


def _coded(column: Any) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    coded = column.cast(pa.string()).combine_chunks()
    coded = (coded.combine_chunks() if isinstance(coded, pa.ChunkedArray) else coded).dictionary_encode()
    return tuple(coded.dictionary.to_pylist()), coded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
