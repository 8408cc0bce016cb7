"""`converged`: stop where the tentative answer has stayed the same, by `router.stopping.converged`'s two tests."""

from __future__ import annotations

from training.suites.early_exit.halves import Known
from training.suites.early_exit.run_length import Runs
from training.suites.early_exit.settings import Settings
from training.suites.early_exit.watch import first_true

LEAST = (1, 2, 3, 4, 5, 6)  # equal answers in a row
JUMPS = (None, 0.0, 1.0)  # standard deviations above the earlier runs; None: no such test


def converged(known: Known) -> Settings:
    """Needs no labels to decide; the tuning half chooses among the settings."""
    offered = []
    for watched in known.watched:
        runs = Runs.of(watched.answer)
        for least in LEAST:
            for jump in JUMPS:
                stops = runs.now >= least
                if jump is not None:
                    stops &= runs.now > runs.mean + jump * runs.sd
                label = f"{least} equal, {watched.watch}" + ("" if jump is None else f", jump {jump:g}")
                offered.append((label, watched, first_true(stops)))
    return Settings.of(offered)
