"""A log in which easy queries come before noon and hard ones after it, over three days: what a service makes of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from predictors.bundle_files import load_bundle, save_bundle
from router.assemble import assemble
from router.pricing.demand import HOUR_S, HOURS, Profile
from router.pricing.hours import Change, hour_mix
from router.pricing.typical import typical_traffic
from training.cycle.rows import read_rows
from training.cycle.run import Wishes, run_cycle
from training.fit.from_log import DAY_S, fit_log

pytestmark = pytest.mark.timeout(600)  # a fit, on a machine that others use
START = 20_000 * DAY_S
NOON = HOURS // 2


@pytest.fixture
def rows(place):
    """The log of a cycle's export, its times moved."""
    ticks = iter(range(10**6))
    run_cycle(place, Wishes(least_new=10**6), lambda: 2e9 + next(ticks))
    return read_rows(str(place.work / "log"), place.config, since=0.0, until=3e9, now_s=3e9)


def moved(rows, days: float):
    """The same decisions, as if they had come within so many days."""
    rng = np.random.default_rng(0)
    hard = np.array(["hard" in (text or "") for text in rows.log.texts("query_text")])
    at = START + rng.integers(0, 3, len(hard)) * DAY_S + (hard * NOON + rng.random(len(hard)) * NOON) * HOUR_S
    at = START + (at - START) * days / 3
    order = np.argsort(at)
    table = rows.log.table.take(order)
    column = pa.array((np.sort(at) * 1e6).astype(np.int64)).cast(table.schema.field("created_at").type)
    table = table.set_column(table.schema.get_field_index("created_at"), "created_at", column)
    return replace(rows.log, table=table), np.where(rows.fitted, rows.reward, np.nan)[order]


def test_the_mix_of_every_hour_reaches_the_price_of_a_service(place, rows, tmp_path):
    log, reward = moved(rows, 3.0)
    save_bundle(fit_log(log, reward, place.config)[0], tmp_path / "bundle")
    bundle = load_bundle(tmp_path / "bundle")
    typical = bundle.typical
    assert typical is not None and len(typical.came) == len(typical.chars) and len(typical.hours) == HOURS
    came = np.array(typical.came)
    assert set(came.tolist()) == set(range(HOURS))
    large_helps = typical.values[:, typical.names.index("p_correct/large")]
    large_helps = large_helps - typical.values[:, typical.names.index("p_correct/small")]
    assert large_helps[came >= NOON].mean() > 0.6  # .85 in truth
    assert large_helps[came < NOON].mean() < 0.15  # 0 in truth

    service = assemble(place.config, base=place.base, predictions=bundle)
    books = service.allocator.books
    offers = typical_traffic(bundle, books.chooser.menu.plans, books.chooser.forecaster)
    mix = hour_mix(offers)
    assert mix is not None
    # a large answer, of one token for $.00002, is worth .85 more after noon and nothing before
    price = 0.4 / 20e-6
    spent = mix.spent_at(price)
    assert spent[NOON:].mean() > 1.5 * spent[:NOON].mean()
    change = Change(mix, Profile(typical.hours), DAY_S, START)
    change.look(price, START + HOUR_S)
    assert change.until(START + DAY_S, [1] + [0] * (HOURS - 1)) is not None


def test_of_less_than_a_day_no_hours_are_known(place, rows):
    log, reward = moved(rows, 0.9)
    typical = fit_log(log, reward, place.config)[0].typical
    assert typical is not None and typical.hours == () and typical.came == ()
