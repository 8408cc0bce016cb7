"""All metrics of one replica in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    SummaryMetricFamily,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from router.domain.decision import Decision
from router.telemetry.accumulators import Accumulated, Bars, Counts, Histograms, Means, Read
from router.telemetry.catalogue import CATALOGUE, Kind, Metric
from router.telemetry.decision_metrics import DecisionMetrics
from router.telemetry.outcome_metrics import OutcomeMetrics
from router.telemetry.state_metrics import StateMetrics


@dataclass(frozen=True, slots=True, eq=False)  # a registry keeps it by identity
class Metrics(Collector):
    """Counts rows and outcomes as they come; reads the rest when asked. Belongs to one event loop."""

    decisions: DecisionMetrics
    outcomes: OutcomeMetrics
    state: StateMetrics

    def seen(self, row: Decision) -> None:
        """Count a row."""
        self.decisions(row)
        self.outcomes.decided(row)

    def collect(self) -> Iterator[Family]:
        """Everything in the catalogue that has a value."""
        series = self.decisions.series() | self.outcomes.series()
        read = self.state.readings()
        for name, values in self.outcomes.readings().items():
            read[name] = {**read.get(name, {}), **values}
        for name, metric in CATALOGUE.items():
            yield family(name, metric, series.get(name), read.get(name, {}))

    def registry(self) -> CollectorRegistry:
        """With what the operating system and Python say about the process."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        return registry


def exposed(registry: CollectorRegistry, accept: str) -> tuple[bytes, str]:
    """The page and its content type, in the format that the asker takes."""
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


def family(name: str, metric: Metric, series: Accumulated | None, read: Read) -> Family:
    """A metric with its values: what was accumulated, and what was read now."""
    text, labels = metric.meaning, metric.labels
    if isinstance(series, Histograms):
        bars = HistogramMetricFamily(name, text, labels=labels)
        for place, histogram in series.items():
            bars.add_metric(
                place, buckets=list(_cumulative(series.bounds, histogram)), sum_value=histogram.total
            )
        return bars
    if isinstance(series, Means):
        means = SummaryMetricFamily(name, text, labels=labels)
        for place, mean in series.items():
            means.add_metric(place, count_value=int(mean.count), sum_value=mean.total)
        return means
    values = sorted((*(series.items() if isinstance(series, Counts) else ()), *read.items()))
    return _plain(name, metric, values)


def _plain(name: str, metric: Metric, values: Iterable[tuple[tuple[str, ...], float]]) -> Family:
    if metric.kind is Kind.COUNTER:
        counter = CounterMetricFamily(name, metric.meaning, labels=metric.labels)
        for place, value in values:
            counter.add_metric(place, value)
        return counter
    gauge = GaugeMetricFamily(name, metric.meaning, labels=metric.labels)
    for place, value in values:
        gauge.add_metric(place, value)
    return gauge


def _cumulative(bounds: tuple[float, ...], bars: Bars) -> Iterator[tuple[str, float]]:
    below = 0
    for bound, count in zip((*map(float, bounds), float("inf")), bars.counts, strict=True):
        below += count
        yield ("+Inf" if bound == float("inf") else str(bound)), float(below)
