"""One fault: load before, in and after it; what callers saw, what the store has, and whether that is as meant."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from training.chaos.faults import Fault
from training.chaos.load import USERS, Load, Seen, quantile
from training.chaos.settled import Settled, settled
from training.chaos.world import World, world
from training.store_bench.postgres_server import PostgresServer

CALM_S, AFTER_S = 15.0, 10.0
SHORT_CALM_S, SHORT_AFTER_S = 3.0, 2.0
WARM_S = 3.0  # before anything is measured
ACKNOWLEDGED_WITHIN_S = 30.0
PROBE_S = 0.5  # liveness, p95
TWICE = 2.0  # processor time per query and memory, against those without the fault
LOG_BYTES = 10_000  # per query
TOLD_S = 10.0  # a report is acknowledged or refused


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold."""

    name: str
    value: float
    limit: float

    @property
    def holds(self) -> bool:
        """At most the limit."""
        return self.value <= self.limit


@dataclass(frozen=True, slots=True)
class Found:
    """Everything about one fault."""

    name: str
    says: str
    seconds: float
    queries: int  # in the fault's time
    added_s: tuple[float, float, float]
    checks: tuple[Check, ...]
    refusals: dict[str, int] = field(default_factory=dict)  # of reports, while they could not be kept
    said: dict[str, int] = field(default_factory=dict)  # to queries that failed
    problems: tuple[str, ...] = ()  # of the audit

    @property
    def holds(self) -> bool:
        """All of it."""
        return all(check.holds for check in self.checks)


@dataclass(frozen=True, slots=True)
class Moment:
    """What the replicas had used by then."""

    at: float
    cpu_s: float
    log_bytes: int
    rss_mb: float


def moment(running: World) -> Moment:
    """Now."""
    return Moment(time.monotonic(), running.cpu_s(), running.log_bytes(), running.rss_mb())


async def run(
    fault: Fault, folder: Path, postgres: PostgresServer, *, short: bool = False, users: int = USERS
) -> Found:
    """In a world of its own."""
    with world(folder / fault.name, postgres, fault.name) as running:
        load = Load(running, users)
        moments = await _under_load(fault, running, load, short=short)
        return _judged(fault, load.seen, moments, await asyncio.to_thread(settled, running, load.seen))


async def _under_load(fault: Fault, running: World, load: Load, *, short: bool) -> list[Moment]:
    calm_s, after_s = (SHORT_CALM_S, SHORT_AFTER_S) if short else (CALM_S, AFTER_S)
    async with load.running():
        await asyncio.sleep(WARM_S)
        moments = [moment(running)]
        await asyncio.sleep(calm_s)
        moments.append(moment(running))
        await fault.do(running, load, fault.short_s if short else fault.seconds)
        moments.append(moment(running))
        await asyncio.sleep(after_s)
    await load.finish(ACKNOWLEDGED_WITHIN_S)
    return moments


def _judged(fault: Fault, seen: Seen, moments: list[Moment], store: Settled) -> Found:
    before, begun, ended = moments
    calm, pressed = seen.latencies(before.at, begun.at), seen.latencies(begun.at, ended.at)
    one, two, three = (quantile(pressed, share) - quantile(calm, share) for share in (0.5, 0.9, 0.99))
    failed = [said for at, said in seen.failed if at >= begun.at]
    probes = [took for at, took in seen.probes if begun.at <= at < ended.at]
    known = [took for took in probes if took != float("inf")]
    told = [took for at, took in seen.report_s if at >= begun.at]
    # a query that nobody reads is work, too: what is waste is beside it
    asked = max(1, len(pressed) + store.strangers)
    checks = [
        Check("failed", len(failed), 0),
        *(
            Check(f"added {name}, s", round(value, 3), limit)
            for name, value, limit in zip(
                ("p50", "p90", "p99"), (one, two, three), fault.added_s, strict=True
            )
        ),
        Check("report told p99, s", round(quantile(told, 0.99), 3), TOLD_S),
        Check("reports unanswered", len(seen.waiting), 0),
        Check("rows lost", store.rows_lost, fault.lost),
        Check("rows twice", store.rows_twice, 0),
        Check("outcomes lost", store.outcomes_lost, 0),
        Check("outcomes twice", store.outcomes_twice, 0),
        Check("money", len(store.problems), min(1, fault.lost)),
    ]
    if not fault.move:  # a replica that is gone is not alive, and what it used ends with it
        calm_cpu = (begun.cpu_s - before.cpu_s) / max(1, len(calm))
        checks += [
            Check("moved", seen.moved, 0),
            Check("liveness p95, s", round(quantile(known, 0.95), 3) if known else 9.0, PROBE_S),
            Check("dead probes", len(probes) - len(known), 0),
            Check("cpu per query, x", round((ended.cpu_s - begun.cpu_s) / asked / calm_cpu, 2), TWICE),
            Check("memory, x", round(ended.rss_mb / begun.rss_mb, 2), TWICE),
            Check("log per query, B", round((ended.log_bytes - begun.log_bytes) / asked), LOG_BYTES),
        ]
    return Found(
        fault.name,
        fault.says,
        round(ended.at - begun.at, 1),
        len(pressed),
        (round(one, 3), round(two, 3), round(three, 3)),
        tuple(checks),
        dict(seen.refusals),
        dict(Counter(failed).most_common(5)),
        store.problems,
    )
