"""The suite `serving`: the real server beside a bare one, streams beside their model server, the cost of a decision."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from router.admission.admission import URGENT_SHARE
from router.backends.stub_process import StubProcess
from router.config import ServerConfig
from router.recording import Recording
from training.suites import Figures as Found
from training.suites import Run, Suite
from training.suites.serving.decision_cost import decision_cost
from training.suites.serving.home import Home, made_home
from training.suites.serving.load import closed_loop
from training.suites.serving.measure import BUSY, Figures, Target, rounds
from training.suites.serving.overload import open_loop
from training.suites.serving.processes import running, served
from training.suites.serving.prompts import prompts
from training.suites.serving.streams import PLAN, WORDS, direct, one_word, script, through
from training.suites.serving.wire import requests

WIDE_PACE = 0.25  # of 256 streams: 3,200 tokens a second are all that a model server in Python gives
PLACES = 20  # queries of 200 ms: 100 a second


@dataclass(frozen=True, slots=True)
class Serving(Suite):
    """Figures of this machine as it is now: only ratios within one run mean something elsewhere."""

    needs_recording: ClassVar[bool] = False
    rounds: int = 5
    seconds: float = 3.0  # of one closed loop
    stream_rounds: int = 3
    stream_seconds: float = 5.0

    def run(self, recording: Recording | None, folder: Path | None, run: Run) -> Found:
        """Target -> figures."""
        with tempfile.TemporaryDirectory(prefix="apportion-serving-") as place:
            run.progress("fitting a bundle", 0.0)
            home = made_home(Path(place), run.seed)
            return asyncio.run(self.measured(home, run))

    async def measured(self, home: Home, run: Run) -> Found:
        """In a folder with a bundle."""
        figures = Figures()
        run.progress("what a decision takes", 0.2)
        decided = (await decision_cost(home.instant("decision"), run.seed)).figures()
        await self._calls(home, figures, run)
        await self._workers(home, figures, run)
        await self._streams(home, figures, run)
        await self._overload(home, figures, run)
        found = figures.spreads()
        found.setdefault("decide", {}).update(decided)
        return found

    async def _calls(self, home: Home, figures: Figures, run: Run) -> None:
        with ExitStack() as stack:
            echo = stack.enter_context(
                running(home.folder / "echo.log", "training.suites.serving.echo_server")
            )
            server = stack.enter_context(served(home.instant(), "server", token=home.token))
            targets = {
                "echo": Target(echo, "Generate"),
                "decide": Target(server, "Decide"),
                "generate": Target(server, "Generate"),
                "stream": Target(server, "GenerateStream"),
            }

            def told(turn: int) -> None:
                run.progress(f"calls, round {turn} of {self.rounds}", 0.25 + 0.45 * turn / self.rounds)

            await rounds(targets, figures, run.seed, self.rounds, self.seconds, told)

    async def _workers(self, home: Home, figures: Figures, run: Run) -> None:
        """Two workers beside one: what a call takes of the processor, and how many there are per second."""
        with ExitStack() as stack:
            one = stack.enter_context(served(home.instant("one"), "one", token=home.token))
            two = stack.enter_context(served(home.instant("two"), "two", "--workers", "2", token=home.token))
            asked = requests(prompts(run.seed + 2))
            for turn in range(self.rounds):
                run.progress("two workers", 0.6 + 0.1 * turn / self.rounds)
                alone = await closed_loop(one, "Decide", asked, BUSY, self.seconds)
                both = await closed_loop(two, "Decide", asked, BUSY, self.seconds)
                figures.add("workers", "cpu_ratio@2", both.server_cpu_us / alone.server_cpu_us)
                figures.add("workers", "throughput_ratio@2", both.rps / alone.rps)
                figures.add("workers", "rss_mb@2", two.rss_mb())

    async def _streams(self, home: Home, figures: Figures, run: Run) -> None:
        with ExitStack() as stack:
            stub = stack.enter_context(StubProcess("--script", str(script(home.folder)), "--pace", "1"))
            server = stack.enter_context(served(home.paced(stub.url), "streams", token=home.token))
            asked = prompts(run.seed + 1)
            for turn in range(self.stream_rounds):
                run.progress("64 streams", 0.7 + 0.15 * turn / self.stream_rounds)
                straight = await direct(stub.url, asked, 64, 1.0, self.stream_seconds)
                passed = await through(server, asked, 64, 1.0, self.stream_seconds)
                for figure, value in (
                    ("tokens_per_s", passed.tokens_per_core_s),
                    ("ttft_added_ms@64", passed.first_ms(0.5) - straight.first_ms(0.5)),
                    ("itl_added_ms_p99@64", passed.gap_ms(0.99) - straight.gap_ms(0.99)),
                    ("refused@64", float(passed.refused)),
                    ("throughput_ratio_to_direct@64", passed.tokens_per_s / straight.tokens_per_s),
                ):
                    figures.add("stream", figure, value)
                # the same words for callers who wait for the whole: several tokens come at a time
                waited = await closed_loop(server, "Generate", requests(asked, PLAN), 64, self.stream_seconds)
                figures.add("generate", "tokens_per_s", 1e6 * WORDS / waited.server_cpu_us)
        with ExitStack() as stack:
            stub = stack.enter_context(
                StubProcess("--script", str(script(home.folder)), "--pace", str(WIDE_PACE))
            )
            server = stack.enter_context(
                served(home.paced(stub.url, "wide"), "wide", "--workers", "2", token=home.token)
            )
            run.progress("256 streams", 0.87)
            straight = await direct(stub.url, asked, 256, WIDE_PACE, self.stream_seconds)
            passed = await through(server, asked, 256, WIDE_PACE, self.stream_seconds)
            ratio = passed.tokens_per_s / straight.tokens_per_s
            figures.add("stream", "throughput_ratio_to_direct@256", ratio)

    async def _overload(self, home: Home, figures: Figures, run: Run) -> None:
        """A backend that takes 200 ms and places for some 100 queries a second: three times as many come."""
        with ExitStack() as stack:
            stub = stack.enter_context(StubProcess("--script", str(one_word(home.folder)), "--pace", "1"))
            config = home.paced(stub.url, "pressed", server=ServerConfig(max_queries=PLACES))
            server = stack.enter_context(served(config, "pressed", token=home.token))
            asked = requests(prompts(run.seed + 3), PLAN)
            run.progress("overload", 0.95)
            most = int(PLACES * (1 - URGENT_SHARE))
            capacity = (await closed_loop(server, "Generate", asked, most, self.seconds)).rps
            seen = await open_loop(server, asked, 3.0 * capacity, 2 * self.seconds)
            for figure, value in (
                ("capacity_rps", capacity),
                ("goodput_ratio@3x", seen.goodput / capacity),
                ("liveness_p95_ms", seen.probe_ms(0.95)),
                ("refused_with_delay", seen.shed / max(1, seen.shed + seen.other)),
            ):
                figures.add("overload", figure, value)
