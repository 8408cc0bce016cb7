"""A recording at other prices than it was written with: those of a configuration."""

from __future__ import annotations

from dataclasses import replace

from router.config import Config
from router.recording import Recording
from router.recordings.cost import Prices, cost_of


def at_prices_of(config: Config, recording: Recording) -> Recording:
    """The same samples, charged as the configuration's backends charge (`recorded_as`, else their names).

    Backends that the configuration does not name keep the recording's prices. Prices are those that `config` says
    without its dates; `priced_at` puts them to a time.
    """
    named = {section.recorded_as or name: section for name, section in config.backends.items()}
    prices = {
        name: Prices(named[name].price_in, named[name].price_out) if name in named else price
        for name, price in recording.prices.items()
    }
    columns = recording.columns
    cost = cost_of(columns.tokens_in, columns.tokens_out, columns.backend, tuple(prices.values()))
    return replace(
        recording, meta=replace(recording.meta, prices=prices), columns=replace(columns, cost=cost)
    )
