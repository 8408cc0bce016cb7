"""What the bundle's typical queries would spend at which price, and when they came.

Prices begin with it before any query was seen; where the hours are known, they say what will change over the day.
"""

from __future__ import annotations

from collections.abc import Sequence

from predictors.observation import Message, Part, Query
from router.domain.plan import Plan
from router.first_decision.forecast import Forecaster
from router.first_decision.quality_price import KnowsTraffic
from router.pricing.hours import NO_QUERIES, Typical
from router.pricing.offers import Offer, offer_of_forecasts


def typical_traffic(predictions: object, plans: Sequence[Plan], forecaster: Forecaster) -> Typical:
    """At the forecaster's prices, over the plans whose quality is known; empty without such queries.

    When it fails: see `predictors.typical_queries`; live queries take their place as they come.
    """
    typical = predictions.typical if isinstance(predictions, KnowsTraffic) else None
    if typical is None:
        return NO_QUERIES
    offers: list[Offer] = []
    hours: list[int] = []
    for at, (signals, chars) in enumerate(zip(typical.signals(), typical.chars.tolist(), strict=True)):
        query = Query("", (Message("user", (Part(text=" " * int(chars)),)),))
        forecasts = [forecaster.forecast(query, plan, signals) for plan in plans]
        if any(one.quality is not None for one in forecasts):
            offers.append(offer_of_forecasts(forecasts, 1.0, 0.0, None))
            hours += typical.came[at : at + 1]
    return Typical(tuple(offers), tuple(hours), typical.hours)
