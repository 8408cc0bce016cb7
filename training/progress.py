"""What is being done and how much of it is done, on standard error: a bar, or lines where that is no terminal."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

Progress = Callable[[str, float], None]
"""What is being done, and the share that is done, in [0, 1]."""

SILENCE_S = 30.0  # a log without a line for longer looks like a process that hangs


@dataclass(slots=True)
class Lines:
    """A line at every further tenth, and one where nothing was said for half a minute. Called from two threads."""

    say: Callable[[str], None]
    clock: Callable[[], float]  # seconds
    _began: float = field(init=False)
    _said: float = field(init=False)  # when the last line was written
    _tenth: int = -1
    _what: str = ""
    _share: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._began = self._said = self.clock()

    def tell(self, what: str, share: float) -> None:
        """Something is done."""
        with self._lock:
            self._what, self._share = what, share
            if int(share * 10) > self._tenth:
                self._tenth = int(share * 10)
                self._write("")

    def still(self) -> None:
        """Time has passed."""
        with self._lock:
            if self.clock() - self._said >= SILENCE_S:
                minutes, seconds = divmod(round(self.clock() - self._began), 60)
                self._write(f" · after {minutes} min {seconds:02d} s")

    def _write(self, more: str) -> None:
        self._said = self.clock()
        self.say(f"{100 * self._share:3.0f} %  {self._what}{more}")


@contextmanager
def shown_progress() -> Iterator[Progress]:
    """Shows what it is told for as long as it is open."""
    from rich.console import Console

    console = Console(stderr=True)
    if console.is_terminal:
        with _bar(console) as tell:
            yield tell
        return
    lines = Lines(
        lambda line: console.print(line, highlight=False, markup=False, soft_wrap=True), time.monotonic
    )
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(1.0):
            lines.still()

    watcher = threading.Thread(target=watch, name="progress", daemon=True)
    watcher.start()
    try:
        yield lines.tell
    finally:
        ended.set()
        watcher.join()


@contextmanager
def _bar(console: Console) -> Iterator[Progress]:
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.percentage:3.0f} %"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Bars(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda what, share: bar.update(task, description=what, completed=share)
