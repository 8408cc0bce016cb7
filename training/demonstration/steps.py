"""What a long command does and has done: bars on a terminal, else a line per step, and some a minute without any."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Lock, Thread

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

SILENT_S = 20.0


@dataclass(slots=True)
class Steps:
    """Counts steps and queries, from several threads; `say` takes a line for whoever has no terminal."""

    steps: int
    queries: int
    say: Callable[[str], None]
    monotonic_s: Callable[[], float] = time.monotonic
    on_bars: Callable[[str, int, int], None] = lambda *_: None  # what is under way, steps, queries
    done: int = 0
    asked: int = 0
    _began_s: float = field(init=False)
    _doing: dict[str, float] = field(default_factory=dict)  # what is under way -> when it began
    _lock: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        self._began_s = self.monotonic_s()

    @contextmanager
    def doing(self, what: str, done: str, count: int = 1) -> Iterator[None]:
        """Within it `what` is under way; where it ends without an error `count` steps are `done`, in words."""
        with self._lock:
            self._doing[what] = self.monotonic_s()
            self.on_bars(", ".join(self._doing), self.done, self.asked)
        try:
            yield
        except BaseException:
            self._doing.pop(what, None)
            raise
        with self._lock:
            self._doing.pop(what, None)
            self.done += count
            self.say(self._line(done))
            self.on_bars(", ".join(self._doing) or done, self.done, self.asked)

    def query(self) -> None:
        """One more query has its answer."""
        with self._lock:
            self.asked += 1
            self.on_bars("", self.done, self.asked)

    def still(self) -> None:
        """Nothing ended for a while."""
        with self._lock:
            now = self.monotonic_s()
            under_way = [f"{what} for {_minutes(now - began)}" for what, began in self._doing.items()]
            self.say(self._line(", ".join(under_way) or "still at it"))

    def _line(self, what: str) -> str:
        passed = _minutes(self.monotonic_s() - self._began_s)
        return f"{passed} {what}; {self.done} of {self.steps} steps, {self.asked} of {self.queries} queries"


def _minutes(seconds: float) -> str:
    passed = round(seconds)
    return f"{passed // 60}:{passed % 60:02}"


@contextmanager
def shown_steps(title: str, steps: int, queries: int, console: Console) -> Iterator[Steps]:
    """`console`: on standard error."""
    if not console.is_terminal:
        with _lines(steps, queries, lambda line: console.print(line, style="dim", highlight=False)) as told:
            yield told
        return
    columns = (TextColumn("{task.description:44}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as bars:
        first = bars.add_task(title, total=steps)
        second = bars.add_task("queries answered by the server", total=queries)

        def on_bars(what: str, done: int, asked: int) -> None:
            bars.update(first, completed=done, description=what or None)
            bars.update(second, completed=asked)

        yield Steps(steps, queries, lambda _: None, on_bars=on_bars)


@contextmanager
def _lines(steps: int, queries: int, say: Callable[[str], None]) -> Iterator[Steps]:
    told, over = Steps(steps, queries, say), Event()

    def every_minute() -> None:
        while not over.wait(SILENT_S):
            told.still()

    beat = Thread(target=every_minute, daemon=True)
    beat.start()
    try:
        yield told
    finally:
        over.set()
        beat.join()
