"""Benchmarks. To add a suite, write a module (or a folder) here and give it a line in `SUITES`.

A suite is a frozen dataclass, every field with a default, and one method.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable

from router.recording import Recording
from training.decision_rows import DecisionRows
from training.figures.spread import Spread

Figures = Mapping[str, Mapping[str, Spread | float]]
"""Subject -> figure -> value."""


@dataclass(frozen=True, slots=True)
class Run:
    """How a suite is to run."""

    seed: int = 0  # the first; further ones count up from it
    seeds: int = 1
    plots: Path | None = None  # folder for pictures
    write: Callable[[DecisionRows], None] | None = None  # takes every decision, block by block
    # what is being done, share done in [0, 1]
    progress: Callable[[str, float], None] = lambda what, share: None
    workers: int = 2  # processes


@runtime_checkable
class Suite(Protocol):
    """One recording in, figures out."""

    needs_recording: ClassVar[bool]  # False: it runs once, `recording` is None, under its own name

    def run(self, recording: Recording | None, folder: Path | None, run: Run) -> Figures:
        """Measure. Every random choice comes from `run.seed`; equal arguments give equal figures.

        Raises `NotEnoughData` where the suite has no meaning on the recording (it is then reported as skipped).
        """
        ...


SUITES = {
    "routing": "training.suites.routing.suite:Routing",
    "allocation": "training.suites.allocation.suite:Allocation",
    "calibration": "training.suites.calibration.suite:Calibration",
    "sampling": "training.suites.sampling.suite:Sampling",
    "early_exit": "training.suites.early_exit.suite:EarlyExit",
    "budget": "training.suites.budget.suite:Budget",
    "ope": "training.suites.ope.suite:OffPolicy",
    "serving": "training.suites.serving.suite:Serving",
}
