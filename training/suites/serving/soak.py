"""`make soak`: the highest rate of mixed calls with p99 <= 50 ms, then four fifths of it for long.

    python -m training.suites.serving.soak --minutes 30

Memory must stay, every error must be an intended refusal, every acknowledged outcome must be in the store once.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from router.config import ServerConfig
from router.decisions.read_only import open_read_only
from training.errors import TrainingError
from training.suites.serving.home import made_home
from training.suites.serving.mixed import Caller, Mixed, caller
from training.suites.serving.processes import Running, served
from training.suites.serving.prompts import prompts

P99_MS = 50.0
SHARE = 0.8  # of the capacity
FIRST_PER_S, FACTOR, MOST_PER_S = 20.0, 1.25, 20_000.0
WARM_SHARE, LAST_SHARE = 0.2, 0.1  # of the time
GROWS_AT_MOST = 0.05
SAMPLES = 200  # of memory


@dataclass(frozen=True, slots=True)
class Soaked:
    """What a run saw."""

    capacity_per_s: float
    per_s: float
    minutes: float
    calls: int
    done: dict[str, int]
    refused: int
    failed: dict[str, int]
    p50_ms: float
    p99_ms: float
    p99_ms_by_kind: dict[str, float]
    late_seconds: list[int]  # of the run, in which a call should have been sent that took a second or more
    rss_mb: list[float]  # at equal distances in time
    warm_mb: float
    last_mb: float
    reported: int
    lost: int  # outcomes that were acknowledged and are not there
    twice: int

    @property
    def growth(self) -> float:
        """Of memory after the warm-up, as a share of it."""
        return self.last_mb / self.warm_mb - 1.0

    @property
    def holds(self) -> bool:
        """All of it."""
        return self.growth <= GROWS_AT_MOST and not (self.failed or self.lost or self.twice)


async def capacity(one: Caller, step_s: float) -> float:
    """The highest rate with p99 <= 50 ms and no refusal; each is tried twice before it counts as too high.

    Raises `TrainingError` where calls fail at the lowest.
    """
    found, per_s = FIRST_PER_S / FACTOR, FIRST_PER_S
    while per_s <= MOST_PER_S:
        for _ in range(2):
            seen = await one.run(per_s, step_s)
            if kept_up(seen):
                break
            if seen.failed and per_s == FIRST_PER_S:  # that is no matter of the rate
                raise TrainingError(f"soak: calls fail: {dict(seen.failed.most_common(3))}")
        else:
            return found
        found, per_s = per_s, per_s * FACTOR
    return found


def kept_up(seen: Mixed) -> bool:
    """Whether the service kept up with a rate."""
    return not seen.refused and not seen.failed and seen.latency_ms(0.99) <= P99_MS


async def soak(config: Path, server: Running, minutes: float, step_s: float, seed: int) -> Soaked:
    """Find the capacity, then four fifths of it."""
    async with caller(server, prompts(seed)) as one:
        most = await capacity(one, step_s)
        memory: list[float] = []

        async def watch() -> None:
            while True:
                memory.append(server.rss_mb())
                await asyncio.sleep(60.0 * minutes / SAMPLES)

        watching = asyncio.create_task(watch())
        seen = await one.run(SHARE * most, 60.0 * minutes)
        watching.cancel()
    with open_read_only(config.with_name("soak.db")) as look:
        kept = Counter(outcome.key for _, _, outcome in look.numbered_outcomes(0, look.ends.outcomes))
    warm, last = int(WARM_SHARE * len(memory)), max(1, int(LAST_SHARE * len(memory)))
    return Soaked(
        round(most, 1),
        round(SHARE * most, 1),
        minutes,
        seen.sent,
        dict(seen.done),
        seen.refused,
        dict(seen.failed.most_common(10)),
        round(seen.latency_ms(0.5), 2),
        round(seen.latency_ms(0.99), 2),
        {kind: round(seen.latency_ms(0.99, kind), 2) for kind in sorted(seen.latencies_s)},
        sorted(seen.late_seconds),
        [round(value, 1) for value in memory],
        round(float(np.median(memory[warm : warm + last])), 1),
        round(float(np.median(memory[-last:])), 1),
        len(seen.reported),
        len(set(seen.reported) - set(kept)),
        sum(count - 1 for count in kept.values()),
    )


def main(
    minutes: Annotated[float, typer.Option(help="At four fifths of the capacity.")] = 30.0,
    step_s: Annotated[
        float, typer.Option(help="Seconds at each rate while the capacity is looked for.")
    ] = 5.0,
    seed: int = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead.")] = False,
) -> None:
    """Mixed load for long."""
    with tempfile.TemporaryDirectory(prefix="apportion-soak-") as place:
        Console(stderr=True).print("fitting a bundle …")
        doors = ServerConfig(http_listen="127.0.0.1:0", max_outcomes_per_s=1e6)
        home = made_home(Path(place), seed)
        config = home.instant("soak", server=doors)
        with served(config, "soak", token=home.token) as server:
            Console(stderr=True).print(f"the highest rate, then {minutes:g} minutes …")
            found = asyncio.run(soak(config, server, minutes, step_s, seed))
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(found)).decode())
    else:
        Console(width=120).print(table(found))
    if not found.holds:
        raise typer.Exit(1)


def table(found: Soaked) -> Table:
    """A line per figure."""
    made = Table("figure", "value", "should be")
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(found.done.items()))
    made.add_row("highest rate with p99 <= 50 ms", f"{found.capacity_per_s:g} calls a second", "")
    made.add_row("load", f"{found.per_s:g} a second for {found.minutes:g} minutes: {found.calls:,} calls", "")
    made.add_row("done", kinds, "")
    made.add_row("p50, p99", f"{found.p50_ms:g} ms, {found.p99_ms:g} ms", "")
    made.add_row("p99 of each", ", ".join(f"{kind} {ms:g}" for kind, ms in found.p99_ms_by_kind.items()), "")
    late = f"{len(found.late_seconds)}: {', '.join(map(str, found.late_seconds[:20]))}".rstrip(": ")
    made.add_row("seconds with a call of a second or more", late, "")
    made.add_row("refused as overload", f"{found.refused:,}", "")
    made.add_row("failed", "; ".join(f"{n} x {said}" for said, n in found.failed.items()) or "0", "0")
    memory = f"{found.warm_mb:g} MB warm, {found.last_mb:g} MB at the end: {100 * found.growth:+.1f} %"
    made.add_row("memory", memory, f"<= +{100 * GROWS_AT_MOST:g} %")
    made.add_row(
        "outcomes acknowledged, lost, twice", f"{found.reported:,}, {found.lost}, {found.twice}", "…, 0, 0"
    )
    return made


if __name__ == "__main__":
    typer.run(main)
