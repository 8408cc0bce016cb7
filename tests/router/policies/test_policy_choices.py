"""What the policies choose, on situations whose best plan is plain."""

from __future__ import annotations

from dataclasses import replace
from math import exp

import pytest

from predictors.observation import Constraints, Observation, OnUnavailable, Query, Sample, Tally
from router.domain.choice import Forecast, Situation
from router.domain.plan import Plan, Stage
from router.domain.verdict import ENOUGH, MORE
from router.first_decision.choose import helpful, out_of_reach
from router.policies import Policy
from router.policies.match_probability import MatchProbability
from router.policies.softmax import Softmax
from router.policies.table import Table
from router.policies.utility import Utility
from router.selectors.first import First
from router.stopping.hop import Hop
from router.stopping.never import Never

SMALL, MIDDLE, LARGE = (Plan(name, (Stage(name, Never(), First()),)) for name in ("small", "middle", "large"))
VOTE = Plan("vote", (Stage("small", Never(), First(), max_samples=5),))


def situation(price: float = 0.0, **more: object) -> Situation:
    forecasts = (
        Forecast(SMALL, 0.6, 100.0, 1.0),
        Forecast(MIDDLE, 0.8, 300.0, 2.0),
        Forecast(LARGE, 0.85, 2000.0, 8.0),
    )
    return replace(Situation(forecasts, {}, price, 0.0), **more)  # type: ignore[arg-type]


def taken(policy: Policy, at_hand: Situation) -> str:
    shares = list(policy.probabilities(at_hand))
    return at_hand.forecasts[shares.index(1.0)].plan.name


@pytest.mark.parametrize(("price", "wanted"), [(0.0, "large"), (100.0, "middle"), (5000.0, "small")])
def test_a_dearer_price_buys_less(price: float, wanted: str) -> None:
    assert taken(Utility(), situation(price)) == wanted


def test_a_latency_price_takes_the_quicker_plan() -> None:
    assert taken(Utility(), situation(0.0)) == "large"
    assert taken(Utility(), situation(0.0, latency_price=0.02)) == "middle"


def test_a_quality_target_takes_the_cheapest_plan_that_reaches_it() -> None:
    assert taken(Utility(), situation(5000.0, min_quality=0.7)) == "middle"
    assert taken(Utility(), situation(5000.0, min_quality=0.99)) == "large"


def test_where_it_is_known_a_quality_target_is_met_on_average_by_its_price() -> None:
    assert taken(Utility(), situation(0.0, min_quality=0.7, quality_price=5000.0)) == "small"
    assert taken(Utility(), situation(5000.0, min_quality=0.84, quality_price=0.0)) == "large"


def test_softmax_says_the_probabilities_of_its_formula() -> None:
    """By hand at price 0: the best plan gets .8, softmax of (.6, .8, .85) / .1 the rest, then none is below .05."""
    weights = [exp((quality - 0.85) / 0.1) for quality in (0.6, 0.8, 0.85)]
    mixed = [0.2 * weight / sum(weights) for weight in weights]
    mixed[2] += 0.8
    found = Softmax(explore=0.2, temperature=0.1, floor=0.05).probabilities(situation())
    assert found == pytest.approx([0.05 + 0.85 * share for share in mixed])


def test_softmax_lets_no_floor_add_up_to_more_than_everything() -> None:
    assert Softmax(floor=0.5).probabilities(situation()) == pytest.approx([1 / 3] * 3)


def test_softmax_shares_exploration_equally_where_a_quality_is_not_known() -> None:
    unknown, known = Forecast(SMALL, None, 1.0, 1.0), Forecast(LARGE, 0.9, 1.0, 1.0)
    rule = Softmax(explore=0.2, floor=0.0)
    assert rule.probabilities(Situation((unknown, known), {}, 0.0, 0.0)) == pytest.approx([0.1, 0.9])
    nothing = Situation((unknown, replace(known, quality=None)), {}, 0.0, 0.0, default=0)
    assert rule.probabilities(nothing) == pytest.approx([0.9, 0.1])


def test_the_table_goes_by_the_mean_of_the_bin() -> None:
    signals = {"table_quality/small": 0.9, "table_quality/middle": 0.9, "table_quality/large": 0.9}
    assert taken(Table(), situation(0.0, signals=signals)) == "small"
    signals = {"table_quality/small": 0.1, "table_quality/middle": 0.2, "table_quality/large": 0.9}
    assert taken(Table(), situation(0.0, signals=signals)) == "large"


def test_without_a_table_the_default_plan_is_served() -> None:
    assert taken(Table(), situation(0.0, default=1)) == "middle"


def test_match_probability_takes_the_cheapest_plan_that_is_likely_as_good() -> None:
    assert taken(MatchProbability(at_least=0.9), situation()) == "middle"  # 1 + .8 - .85
    assert taken(MatchProbability(at_least=0.7), situation()) == "small"
    assert taken(MatchProbability(at_least=0.99), situation()) == "large"
    assert taken(MatchProbability(at_least=0.9, reference="small"), situation()) == "small"
    assert taken(MatchProbability(at_least=0.9), situation(signals={"match/small": 0.95})) == "small"


def test_where_more_compute_does_not_help_it_is_not_offered() -> None:
    offered = [Forecast(SMALL, 0.6, 100.0, 1.0), Forecast(VOTE, 0.61, 500.0, 1.0)]
    assert helpful(offered, {"helps/vote": 0.05}) == offered
    assert helpful(offered, {"helps/vote": 0.0}) == offered[:1]
    assert helpful(offered, {}) == offered
    assert helpful(offered[1:], {"helps/vote": -0.1}) == offered[1:]  # something must be served


def query(target: float | None, unavailable: OnUnavailable) -> Query:
    return Query("q", (), constraints=Constraints(min_quality=target, on_unavailable=unavailable))


def test_only_a_caller_who_says_so_gets_nothing_where_the_target_is_out_of_reach() -> None:
    at_hand = situation()
    assert "0.9" in out_of_reach(query(0.9, OnUnavailable.FAIL), at_hand)
    assert not out_of_reach(query(0.9, OnUnavailable.DEGRADE), at_hand)
    assert not out_of_reach(query(0.85, OnUnavailable.FAIL), at_hand)
    assert not out_of_reach(query(None, OnUnavailable.FAIL), at_hand)


def test_where_a_plans_quality_is_not_known_nobody_abstains() -> None:
    at_hand = situation()
    unknown = replace(at_hand, forecasts=(*at_hand.forecasts, Forecast(VOTE, None, 1.0, 1.0)))
    assert not out_of_reach(query(0.9, OnUnavailable.FAIL), unknown)


SEEN = Observation(Query("q", ()), (Sample("0.0", "small"),), tally=Tally((1,), ("a",), 1))


@pytest.mark.parametrize(
    ("in_hand", "going_on", "price", "verdict"),
    [
        (0.9, 0.95, 0.0, MORE),  # better, and cost is no matter
        (0.9, 0.95, 100.0, ENOUGH),  # .05 more for $.001 at 100 a dollar
        (0.2, 0.95, 100.0, MORE),
        (0.9, 0.8, 0.0, ENOUGH),  # nothing to gain
    ],
)
def test_a_hop_is_made_where_it_is_worth_its_price(in_hand, going_on, price, verdict) -> None:
    signals = {
        "sample_confidence": in_hand,
        "going_on/large": going_on,
        "p_correct/large": 0.0,
        "price": price,
        "sample_cost/large": 1000.0,
    }
    assert Hop(to="large").verdict(SEEN, signals) is verdict


def test_a_hop_falls_back_on_what_was_expected_before() -> None:
    signals = {"sample_confidence": 0.5, "p_correct/large": 0.6}
    assert Hop(to="large").verdict(SEEN, signals) is MORE
    assert Hop(to="large", margin=0.2).verdict(SEEN, signals) is ENOUGH
