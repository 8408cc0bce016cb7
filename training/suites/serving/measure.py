"""The rounds: every target in turn, again and again, so that what else the machine does meets all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from training.figures.spread import Spread, spread
from training.suites.serving.load import closed_loop
from training.suites.serving.processes import Running
from training.suites.serving.prompts import prompts
from training.suites.serving.wire import requests

BUSY, ALONE = 32, 1  # calls in flight


@dataclass(frozen=True, slots=True)
class Target:
    """One method of one server."""

    server: Running
    method: str


@dataclass(slots=True)
class Figures:
    """Subject -> figure -> one value per round."""

    values: dict[str, dict[str, list[float]]] = field(default_factory=dict)

    def add(self, subject: str, figure: str, value: float) -> None:
        """One round's."""
        self.values.setdefault(subject, {}).setdefault(figure, []).append(value)

    def spreads(self) -> dict[str, dict[str, Spread | float]]:
        """With intervals over the rounds."""
        found: dict[str, dict[str, Spread | float]] = {}
        for subject, figures in self.values.items():
            for figure, values in figures.items():
                value = spread([[one] for one in values])
                if value is not None:
                    found.setdefault(subject, {})[figure] = value
        return found


async def rounds(
    targets: Mapping[str, Target],
    figures: Figures,
    seed: int,
    count: int,
    seconds: float,
    told: Callable[[int], None],
) -> None:
    """`count` rounds of all targets, the first of which only warms up; `echo` is what the others are compared with."""
    asked: dict[str, Iterator[bytes]] = {name: requests(prompts(seed)) for name in targets}
    names = list(targets)
    for turn in range(count + 1):
        echo = 0.0
        for name in names:
            server, method = targets[name].server, targets[name].method
            alone = await closed_loop(server, method, asked[name], ALONE, seconds / 2)
            busy = await closed_loop(server, method, asked[name], BUSY, seconds)
            echo = busy.rps if name == "echo" else echo
            if not turn:
                continue
            for figure, value in (
                ("rps", busy.rps),
                ("ratio_to_echo", busy.rps / echo),
                ("server_cpu_us", busy.server_cpu_us),
                ("p50_ms@1", alone.latency_ms(0.5)),
                ("p99_ms@32", busy.latency_ms(0.99)),
                ("rss_mb", server.rss_mb()),
            ):
                figures.add(name, figure, value)
        told(turn)
