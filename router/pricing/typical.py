"""What the bundle's typical queries would spend at which price: where prices begin before any query was seen."""

from __future__ import annotations

from collections.abc import Sequence

from predictors.observation import Message, Part, Query
from router.domain.plan import Plan
from router.forecast import Forecaster
from router.pricing.offers import Offer, offer_of_forecasts
from router.quality_price import KnowsTraffic


def typical_hours(predictions: object) -> tuple[float, ...]:
    """Share of a day's queries in each UTC hour, as the log had them that the bundle learned from; empty: not known."""
    typical = predictions.typical if isinstance(predictions, KnowsTraffic) else None
    return () if typical is None else typical.hours


def typical_offers(predictions: object, plans: Sequence[Plan], forecaster: Forecaster) -> list[Offer]:
    """At the forecaster's prices, over the plans whose quality is known; empty without such queries.

    When it fails: see `predictors.typical_queries`; live queries take their place as they come.
    """
    typical = predictions.typical if isinstance(predictions, KnowsTraffic) else None
    if typical is None:
        return []
    offers = []
    for signals, chars in zip(typical.signals(), typical.chars.tolist(), strict=True):
        query = Query("", (Message("user", (Part(text=" " * int(chars)),)),))
        forecasts = [forecaster.forecast(query, plan, signals) for plan in plans]
        if any(one.quality is not None for one in forecasts):
            offers.append(offer_of_forecasts(forecasts, 1.0, 0.0, None))
    return offers
