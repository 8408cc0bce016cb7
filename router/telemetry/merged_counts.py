"""One page for all workers: what grows is summed, that of workers that ended too; a gauge is as its metric says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from router.telemetry.accumulators import Accumulated, Counts, Labels, Read
from router.telemetry.catalogue import CATALOGUE, Kind, Of
from router.telemetry.exposition import family
from router.telemetry.outcome_metrics import calibration_error, realised_risk
from router.telemetry.worker_counts import WorkerCounts

PROCESS: Mapping[str, Of] = {
    "process_resident_memory_bytes": Of.SUM,
    "process_virtual_memory_bytes": Of.SUM,
    "process_open_fds": Of.SUM,
    "process_max_fds": Of.LEAST,
    "process_start_time_seconds": Of.LEAST,
}
REDUCED: Mapping[Of, Callable[[list[float]], float]] = {Of.SUM: sum, Of.MOST: max, Of.LEAST: min}


@dataclass(slots=True, eq=False)  # a registry keeps it by identity
class MergedCounts(Collector):
    """What workers told, by a key of each one's life. One event loop."""

    own: Callable[[], dict[str, Read]]  # what the process itself says: of the store, which is its own
    processor_s: Callable[[], float]  # of this process
    sizes: Callable[[], dict[str, float]]  # the same
    living: dict[int, WorkerCounts] = field(default_factory=dict)
    ended: WorkerCounts = field(default_factory=WorkerCounts)  # the sum of those that ended
    deaths: int = 0

    def update(self, key: int, what: WorkerCounts) -> None:
        """A worker has counted so much."""
        before = self.living.get(key)
        if what.gauges is None and before is not None:
            what.gauges, what.process = before.gauges, before.process
        self.living[key] = what

    def end(self, key: int) -> None:
        """It tells nothing any more; what it counted stays."""
        last = self.living.pop(key, None)
        self.deaths += 1
        if last is not None:
            self.ended.add(last)

    def collect(self) -> Iterator[Family]:
        """Everything in the catalogue that has a value, and the processes."""
        total = WorkerCounts(processor_s=self.processor_s())
        for one in (self.ended, *self.living.values()):
            total.add(one)
        own = self.own()
        total.add(WorkerCounts({name: Counts(dict(read)) for name, read in own.items() if _grows(name)}))
        series: dict[str, Accumulated] = {**total.counts, **total.means, **total.bars}
        read = self._read(total) | {name: values for name, values in own.items() if not _grows(name)}
        for name, metric in CATALOGUE.items():
            yield family(name, metric, series.get(name), read.get(name, {}))
        yield CounterMetricFamily(
            "process_cpu_seconds_total", "Processor time of all processes", value=total.processor_s
        )
        sizes = [self.sizes(), *(one.process for one in self.living.values())]
        for name, of in PROCESS.items():
            values = [each[name] for each in sizes if name in each]
            if values:
                yield GaugeMetricFamily(name, f"Of all processes: {of.value}", value=REDUCED[of](values))

    def _read(self, total: WorkerCounts) -> dict[str, Read]:
        said: dict[str, dict[Labels, list[float]]] = {}
        for one in self.living.values():
            for name, values in (one.gauges or {}).items():
                for labels, value in values.items():
                    said.setdefault(name, {}).setdefault(labels, []).append(value)
        read: dict[str, Read] = {
            name: {labels: REDUCED[CATALOGUE[name].of](list_) for labels, list_ in values.items()}
            for name, values in said.items()
        }
        confidence, outcome = "apportion_calibration_confidence", "apportion_calibration_outcome"
        if confidence in total.means:
            read["apportion_calibration_error"] = calibration_error(
                total.means[confidence], total.means[outcome]
            )
        read["apportion_realised_risk"] = realised_risk(total.risk)
        read["apportion_workers"] = {(): float(len(self.living))}
        read["apportion_worker_ends_total"] = {(): float(self.deaths)}
        return read


def _grows(name: str) -> bool:
    return CATALOGUE[name].kind is not Kind.GAUGE
