"""What a query may cost on average from now on: what is left, by the queries still to come.

A calendar window's money is worth nothing once it has ended, and money spent too soon is missed by somebody: the first
is lost for certain, the second is corrected as the price rises. So a spending one standard deviation below the
expected one is planned for; but what the cheapest plans take is kept for more queries than are expected, since an
answer that is refused is dearer than one that is not the best. In a rolling window money comes back as it leaves; the
pace is the slowest over horizons up to the window's length, so that a burst is not paid back at once.
"""

from __future__ import annotations

import math

from router.ledger import Balance
from router.pricing.demand import Demand

HORIZONS = 16  # of a rolling window
CAUTION = 1.0  # standard deviations: spending is planned for so many fewer queries,
PRUDENCE = 2.0  # and the cheapest plans for so many more


def units_per_query(
    balance: Balance, in_use: float, demand: Demand, share: float, scatter: float, least: float
) -> float:
    """Micro-units of the account.

    `in_use`: what open reservations will really take; `share` of the account's queries, (0, 1], come here; `scatter`:
    the variance of what a query takes, over the square of its mean; `least`: what the cheapest plans
    take on average.
    """
    assert balance.limit is not None  # noqa: S101 (for the type checker: who asks has looked)
    left = max(0.0, balance.limit - balance.spent - in_use)
    if balance.ends_in_s is not None:
        here, variance = demand.ahead(max(0.0, balance.ends_in_s))
        expected = here / share
        # a burst comes to all replicas at once: of its excess over independent arrivals each sees its share
        bursts = max(0.0, variance - here) / share**2
        spread = math.sqrt(expected * (1 + scatter) + bursts)
        few, many = expected - CAUTION * spread, expected + PRUDENCE * spread
        return least + max(0.0, left - least * many) / max(1.0, few)
    slowest = float("inf")
    for part in range(1, HORIZONS + 1):
        seconds = balance.window_s * part / HORIZONS
        back = sum(amount for leaves, amount in balance.leaving if leaves <= seconds)
        slowest = min(slowest, (left + back) / max(1.0, demand.ahead(seconds)[0] / share))
    return slowest
