"""What a worker tells of its counts, so that one page can show all workers: a copy that can be added to others'."""

from __future__ import annotations

import msgspec
from prometheus_client import CollectorRegistry, ProcessCollector

from router.telemetry.accumulators import Counts, Histograms, Labels, Mean, Means
from router.telemetry.catalogue import CATALOGUE, Kind
from router.telemetry.exposition import Metrics

OWNERS = "apportion_store_"  # of the process that owns the store, which says it itself
ROWS = "apportion_store_rows_total"

Gauges = dict[str, dict[Labels, float]]


class WorkerCounts(msgspec.Struct, array_like=True):
    """Everything that only grows, since the worker's start; gauges where they were asked for."""

    counts: dict[str, Counts] = {}
    means: dict[str, Means] = {}
    bars: dict[str, Histograms] = {}
    risk: dict[str, Mean] = {}  # of shadow runs, by plan
    processor_s: float = 0.0  # of a core
    gauges: Gauges | None = None  # None: they were not asked for
    process: dict[str, float] = {}  # sizes of the process, with the gauges

    def add(self, other: WorkerCounts) -> None:
        """Add what grows of another one."""
        for name, counts in other.counts.items():
            self.counts.setdefault(name, Counts()).join(counts)
        for name, means in other.means.items():
            self.means.setdefault(name, Means()).join(means)
        for name, bars in other.bars.items():
            self.bars.setdefault(name, Histograms(bars.bounds)).join(bars)
        for plan, mean in other.risk.items():
            self.risk.setdefault(plan, Mean()).join(mean)
        self.processor_s += other.processor_s


def counts_so_far(metrics: Metrics, processor_s: float, *, gauges: bool) -> WorkerCounts:
    """What this worker has counted so far. Without `gauges` it is cheap: budgets and backends are not asked."""
    counts = WorkerCounts(processor_s=processor_s, risk=dict(metrics.outcomes.risk))
    for name, series in (metrics.decisions.series() | metrics.outcomes.series()).items():
        if isinstance(series, Counts):
            counts.counts[name] = Counts(dict(series.values))
        elif isinstance(series, Means):
            counts.means[name] = series
        else:
            counts.bars[name] = series
    for name, read in metrics.state.counted().items():
        counts.counts.setdefault(name, Counts()).join(Counts(dict(read)))
    counts.counts[ROWS] = Counts({("dropped",): float(getattr(metrics.state.books.store, "dropped", 0))})
    if gauges:
        counts.gauges = {
            name: dict(read)
            for name, read in metrics.state.readings().items()
            if CATALOGUE[name].kind is Kind.GAUGE and not name.startswith(OWNERS)
        }
        counts.process = sizes_of_process()
    return counts


def sizes_of_process() -> dict[str, float]:
    """What the operating system says of this process, by the usual names; without what only grows."""
    found = ProcessCollector(registry=CollectorRegistry(auto_describe=False)).collect()
    return {
        family.name: family.samples[0].value for family in found if family.type == "gauge" and family.samples
    }
