"""`utility`: go on while what the end is expected to gain is worth the tokens that it takes.

U(stop) = E[reward now], U(go on) = E[reward at the end] - price x expected tokens left, in the share of a usual trace
(`router.stopping.utility`, after ZIP-RC, 2025). The price is tuned.
"""

from __future__ import annotations

import numpy as np

from training.suites.early_exit.halves import Half, Known
from training.suites.early_exit.settings import Settings
from training.suites.early_exit.watch import first_true

# reward per trace
PRICES = (0.003, 0.006, 0.01, 0.015, 0.02, 0.03, 0.04, 0.06, 0.08, 0.12, 0.16, 0.24, 0.35, 0.5)


def utility(known: Known, half: Half) -> Settings:
    """One setting per watch and price."""
    usual = float(known.traces.length[half.tuning].mean())
    offered = []
    for one, gain, left in zip(known.watched, half.gain, half.left, strict=True):
        for price in PRICES:
            with np.errstate(invalid="ignore"):
                stops = one.answered & (gain <= price * left / usual)
            offered.append((f"price {price:g}, {one.watch}", one, first_true(stops)))
    return Settings.of(offered)
