"""Right where the answer is Python that passes unit tests, run where it can do no harm.

The answer's code runs first, then the tests with the same names: plain statements, mostly `assert`, with the standard
library. Passing means that both came to their end within the limits. A perfect verifier of what the tests ask, so it
may end a stage; it says nothing about what they do not ask. The sandbox (`router.answering.sandbox`) contains mistakes
and malice; it does not make honest: code written to deceive may reach into the interpreter that holds the tests.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from threading import BoundedSemaphore
from typing import ClassVar

import structlog

from router.answering.sandbox import Limits, Ran, run
from router.errors import ConfigError
from router.verifiers import Case

LONGEST = 200_000  # characters of an answer; a longer one does not pass


@dataclass(frozen=True)
class UnitTests:
    """All tests pass, or not; without `tests` the case's gold is the tests. Judges nothing where it may not run."""

    tests: str = field(  # Python, or the path of a .py file (relative to the working folder), read once
        default="", metadata={"required_online": True}
    )
    limit_s: float = 5.0  # processor time of an answer, [1, 60]
    memory_mb: int = 512  # address space of each process, [64, 65536]
    processes: int = 1  # that an answer may have at once, itself included, [1, 64]
    at_once: int = 2  # answers that are run at the same time, [1, 64]
    # run with limits alone where the kernel refuses namespaces: network and files are then open
    weak: bool = False

    answer_kind: ClassVar[str] = "code"
    needs: ClassVar[str] = ""

    def __post_init__(self) -> None:
        for name, low, high in (
            ("limit_s", 1, 60), ("memory_mb", 64, 65_536), ("processes", 1, 64), ("at_once", 1, 64),
        ):  # fmt: skip
            if not low <= getattr(self, name) <= high:
                raise ConfigError(f"unit_tests: {name} must be in [{low}, {high}], got {getattr(self, name)}")
        if self.tests.strip().endswith(".py") and "\n" not in self.tests.strip():
            # the text itself, so that a plan's digest tells one set of tests from another
            try:
                object.__setattr__(self, "tests", Path(self.tests.strip()).read_text("utf-8"))
            except (OSError, ValueError) as error:
                raise ConfigError(f"unit_tests: tests: cannot read {self.tests!r}: {error}") from error

    def grade(self, case: Case, answer: str | None) -> float | None:
        tests = self.tests or case.gold
        if not tests:
            return None
        if answer is None or len(answer) > LONGEST:
            return 0.0
        limits = Limits(self.limit_s, self.memory_mb << 20, processes=self.processes)
        with self._turns:
            ran = run(answer, tests, limits, weak=self.weak)
        if ran is Ran.REFUSED:
            return self._refused
        return float(ran is Ran.PASSED)

    @cached_property
    def _turns(self) -> BoundedSemaphore:
        return BoundedSemaphore(self.at_once)

    @cached_property
    def _refused(self) -> None:
        """No verdict; says why, the first time."""
        structlog.get_logger().warning(
            "unit_tests judges nothing: this kernel refuses the namespaces that foreign code is shut in with",
            instead="weak = true runs it with resource limits alone, as another user than root",
        )
