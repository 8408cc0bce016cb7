"""What a bundle knows of the traffic it learned from reaches the prices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from predictors.typical_queries import TypicalQueries
from predictors.untrained import Untrained
from router.costs.worst_case import Bound
from router.domain.plan import Plan, Stage
from router.domain.speed import Speed
from router.domain.usage import Price
from router.first_decision.forecast import Forecaster
from router.learned_plans.known_plans import WithoutPlans
from router.pricing.hours import NO_QUERIES
from router.pricing.typical import typical_traffic
from router.selectors.first import First
from router.stopping.never import Never


@dataclass(frozen=True)
class Learned:
    typical: TypicalQueries | None


PLANS = [Plan("small", (Stage("small", Never(), First()),))]
FORECASTER = Forecaster({"small": Bound(Price(1.0, 1.0, 1.0), 100, 8)}, {"small": Speed()})


@pytest.mark.parametrize("hours", [(), tuple([1 / 24] * 24)])
def test_the_hours_of_the_log_are_the_bundles(hours):
    typical = TypicalQueries(("p_correct/small",), np.array([[0.5]]), np.array([10.0]), hours)
    assert typical_traffic(Learned(typical), PLANS, FORECASTER).busy == hours


@pytest.mark.parametrize("predictions", [Untrained(), Learned(None)])
def test_without_typical_queries_nothing_is_known(predictions):
    assert typical_traffic(predictions, PLANS, FORECASTER) == NO_QUERIES


@pytest.mark.parametrize("came", [(), (4, 17)])
def test_offers_know_the_hours_of_their_queries_where_the_bundle_does(came):
    names = ("p_correct/small", "tokens_out/small")
    typical = TypicalQueries(names, np.array([[0.2, 10.0], [0.8, 10.0]]), np.array([40.0, 40.0]), came=came)
    found = typical_traffic(Learned(typical), PLANS, FORECASTER)
    assert len(found.offers) == 2 and found.hours == came


def test_hours_stay_where_what_is_known_of_a_plan_is_forgotten():
    typical = TypicalQueries(("plan_quality/p", "p_correct/small"), np.ones((1, 2)), np.ones(1), came=(4,))
    found = WithoutPlans(Learned(typical), frozenset({"p"})).typical  # type: ignore[arg-type]
    assert found is not None and found.names == ("p_correct/small",) and found.came == (4,)
    assert found.values.shape == (1, 1)
