"""Every policy in the table: what all of them owe the allocator."""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError, fields, is_dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.domain.choice import Forecast, Situation
from router.domain.plan import Plan, Stage
from router.plugins import resolve
from router.policies import POLICIES, Policy
from router.selectors.first import First
from router.stopping.never import Never


@pytest.fixture(params=sorted(POLICIES), scope="module")
def policy(request):
    return resolve("policy", POLICIES, request.param)()


def situation(
    qualities: list[float | None], costs: list[float], price: float = 1.0, **more: Any
) -> Situation:
    """One plan per quality, with these costs in micro-dollars."""
    forecasts = tuple(
        Forecast(Plan(f"plan {index}", (Stage(f"b{index}", Never(), First()),)), quality, cost, 1.0)
        for index, (quality, cost) in enumerate(zip(qualities, costs, strict=True))
    )
    return Situation(forecasts, {}, price, 0.0, **more)


plans = st.lists(st.tuples(st.one_of(st.none(), st.floats(0, 1)), st.floats(0, 1e9)), min_size=1, max_size=8)


def test_it_is_a_frozen_dataclass_that_keeps_the_contract(policy):
    assert isinstance(policy, Policy)
    assert is_dataclass(policy)
    assert replace(policy) == policy
    for item in fields(policy):
        with pytest.raises(FrozenInstanceError):
            setattr(policy, item.name, None)


@given(offered=plans, price=st.floats(0, 1e9))
def test_it_gives_a_distribution_and_the_same_one_twice(policy, offered, price):
    at_hand = situation([quality for quality, _ in offered], [cost for _, cost in offered], price)
    shares = policy.probabilities(at_hand)
    assert len(shares) == len(offered)
    assert all(0.0 <= share <= 1.0 for share in shares)
    assert math.isclose(sum(shares), 1.0, abs_tol=1e-9)
    assert list(policy.probabilities(at_hand)) == list(shares)


def test_a_single_plan_is_certain(policy):
    assert list(policy.probabilities(situation([0.5], [1.0]))) == [1.0]


def test_knowing_nothing_it_favours_the_default_plan(policy):
    shares = policy.probabilities(situation([None, None, None], [1.0, 2.0, 3.0], default=2))
    assert max(shares) == shares[2]


def test_it_says_when_it_fails(policy):
    assert "fail" in (type(policy).__doc__ or "").lower()
