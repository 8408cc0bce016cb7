"""The suite `serving`: the real server beside a bare one, streams beside their model server, the cost of a decision."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from router.backends.stub_process import StubProcess
from router.recording import Recording
from training.suites import Figures as Found
from training.suites import Run, Suite
from training.suites.serving.decision_cost import decision_cost
from training.suites.serving.home import Home, made_home
from training.suites.serving.measure import Figures, Target, rounds
from training.suites.serving.processes import running, served
from training.suites.serving.prompts import prompts
from training.suites.serving.streams import direct, script, through


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
        await self._streams(home, figures, run)
        found = figures.spreads()
        found.setdefault("decide", {}).update(decided)
        return found

    async def _calls(self, home: Home, figures: Figures, run: Run) -> None:
        with ExitStack() as stack:
            echo = stack.enter_context(
                running(home.folder / "echo.log", "training.suites.serving.echo_server")
            )
            server = stack.enter_context(served(home.instant(), "server"))
            targets = {
                "echo": Target(echo, "Generate"),
                "decide": Target(server, "Decide"),
                "generate": Target(server, "Generate"),
                "stream": Target(server, "GenerateStream"),
            }

            def told(turn: int) -> None:
                run.progress(f"calls, round {turn} of {self.rounds}", 0.25 + 0.45 * turn / self.rounds)

            await rounds(targets, figures, run.seed, self.rounds, self.seconds, told)

    async def _streams(self, home: Home, figures: Figures, run: Run) -> None:
        with ExitStack() as stack:
            stub = stack.enter_context(StubProcess("--script", str(script(home.folder)), "--pace", "1"))
            server = stack.enter_context(served(home.paced(stub.url), "streams"))
            asked = prompts(run.seed + 1)
            for turn in range(self.stream_rounds):
                run.progress("64 streams", 0.7 + 0.15 * turn / self.stream_rounds)
                straight = await direct(stub.url, asked, 64, 1.0, self.stream_seconds)
                passed = await through(server, asked, 64, 1.0, self.stream_seconds)
                for figure, value in (
                    ("tokens_per_s", passed.tokens_per_core_s),
                    ("ttft_added_ms@64", passed.first_ms(0.5) - straight.first_ms(0.5)),
                    ("itl_added_ms_p99@64", passed.gap_ms(0.99) - straight.gap_ms(0.99)),
                    ("throughput_ratio_to_direct@64", passed.tokens_per_s / straight.tokens_per_s),
                ):
                    figures.add("stream", figure, value)
