"""How readers are fuzzed: a number of inputs, each found again by its number; `APPORTION_FUZZ_EXAMPLES` says how many.

The suite runs a short form; `make fuzz` 100,000 inputs per reader. A reader fails by an error that is not its own, by
seconds over one input, and by memory that grows.
"""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import os
import sys
import time
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import pytest

LONG = int(os.environ.get("APPORTION_FUZZ_EXAMPLES", "0"))
FIRST = int(os.environ.get("APPORTION_FUZZ_FIRST", "0"))  # the number of the first input: to see one again
SHORT = 150
WORST_CPU_S = 5.0  # of the processor, for one input
GROWTH_BYTES = 64_000_000  # between a fifth of the inputs and the last
AT_ONCE = 24  # calls to a server
STUCK_S = 60.0
SHOWN = 600  # characters of an input that failed


@dataclass
class Fuzzed:
    """What became of the inputs."""

    reader: str
    inputs: int = 0
    taken: int = 0
    refused: int = 0
    slowest_s: float = 0.0
    slowest: int = 0
    grown: int = 0
    seconds: float = 0.0
    kinds: dict[str, int] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)  # by kind and place

    def __str__(self) -> str:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(self.kinds.items()))
        return (
            f"{self.reader}: {self.inputs:,} inputs, {self.taken:,} taken, {self.refused:,} refused ({kinds}); "
            f"slowest {1e3 * self.slowest_s:.0f} ms (input {self.slowest}), memory {self.grown / 1e6:+.1f} MB, "
            f"{self.seconds:.0f} s"
        )


@dataclass
class Fuzz:
    """Runs one test's inputs."""

    name: str
    tell: Callable[[str], None]

    def __call__(
        self, make: Callable[[Random], Any], read: Callable[[Any], Any], refusals: tuple[type[Exception], ...]
    ) -> Fuzzed:
        """Every input is read, or refused by one of `refusals`; some are taken and some are not."""
        seen = Fuzzed(self.name)
        many = self.many()
        began, held = time.perf_counter(), 0
        for number in range(FIRST, FIRST + many):
            raw = make(self.chance(number))
            spent = time.thread_time()
            try:
                read(raw)
            except refusals as error:
                self.refused(seen, type(error).__name__)
            except Exception as error:  # noqa: BLE001 (every other kind is told once, and the rest is tried)
                place = traceback.extract_tb(error.__traceback__)[-1]
                kind = f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}: {str(error)[:200]}"
                seen.failures.setdefault(
                    kind.split(":", maxsplit=1)[0] + str(place.lineno), f"{kind}\n  {self.told(number, raw)}"
                )
            else:
                seen.taken += 1
            self.timed(seen, number, time.thread_time() - spent, raw)
            if number == FIRST + many // 5:
                held = resident()
        return self.ended(seen, many, began, held)

    async def calls(
        self,
        make: Callable[[Random], Any],
        call: Callable[[Any], Awaitable[str]],
        unwanted: Callable[[str], bool],
    ) -> Fuzzed:
        """The same for a server: `call` says how it answered, "" where it took the input."""
        seen, many, numbers = Fuzzed(self.name), self.many(), iter(range(FIRST, FIRST + self.many()))
        began, held = time.perf_counter(), [0]

        async def caller() -> None:
            for number in numbers:
                raw = make(self.chance(number))
                async with asyncio.timeout(STUCK_S):
                    said = await call(raw)
                if unwanted(said):
                    seen.failures.setdefault(said, f"{said}: {self.told(number, raw)}")
                    continue
                if said:
                    self.refused(seen, said)
                else:
                    seen.taken += 1
                if number == FIRST + many // 5:
                    held[0] = resident()

        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(caller())
        return self.ended(seen, many, began, held[0])

    def many(self) -> int:
        """How many inputs."""
        return LONG or SHORT

    def chance(self, number: int) -> Random:
        """The dice of an input."""
        return Random(f"{self.name}/{number}")

    def told(self, number: int, raw: Any) -> str:
        """How to see it again."""
        return (
            f"input {number} (APPORTION_FUZZ_FIRST={number} APPORTION_FUZZ_EXAMPLES=1): {repr(raw)[:SHOWN]}"
        )

    def refused(self, seen: Fuzzed, kind: str) -> None:
        """Count."""
        seen.refused += 1
        seen.kinds[kind] = seen.kinds.get(kind, 0) + 1

    def timed(self, seen: Fuzzed, number: int, spent: float, raw: Any) -> None:
        """Processor time, so that a busy machine is not held against the reader."""
        if spent > seen.slowest_s:
            seen.slowest_s, seen.slowest = spent, number
        assert spent < WORST_CPU_S, f"{spent:.1f} s of the processor: {self.told(number, raw)}"

    def ended(self, seen: Fuzzed, many: int, began: float, held: int) -> Fuzzed:
        """The figures; in the long form they are printed, and memory must have stayed."""
        seen.inputs, seen.seconds = many, time.perf_counter() - began
        seen.grown = resident() - held
        if LONG:
            self.tell(str(seen))
        assert not seen.failures, f"{self.name}: {len(seen.failures)} kinds of failure\n" + "\n".join(
            seen.failures.values()
        )
        if LONG >= 10_000:
            assert seen.grown < GROWTH_BYTES, f"memory grows: {seen}"
        if FIRST == 0:
            assert seen.taken and seen.refused, f"only one side was seen: {seen}"
        return seen


def resident() -> int:
    """Bytes of this process."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture
def fuzz(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> Fuzz:
    """Named as the test, so that an input is found again by that and its number."""

    def tell(line: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n{line}\n")

    return Fuzz(request.node.name.removeprefix("test_"), tell)


@pytest.fixture(scope="session")
def mutations() -> ModuleType:
    """`mutations.py`; tests are no packages."""
    spec = importlib.util.spec_from_file_location("fuzz_mutations", Path(__file__).with_name("mutations.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long form takes as long as it takes."""
    if LONG:
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.timeout(max(600, LONG // 10)))
