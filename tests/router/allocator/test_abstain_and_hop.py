"""A caller may rather have nothing; and a cascade decides again once an answer is there."""

from __future__ import annotations

from typing import Any

import pytest

from predictors.observation import Constraints, OnUnavailable
from router.domain.decision import Mode, Status
from router.domain.options import Options
from router.errors import NoPlan
from router.stopping.confident import Confident
from router.stopping.hop import Hop

PLANS = ("small", "large")
KNOWN = {"p_correct/small": 0.4, "p_correct/large": 0.7}
RATHER_NOTHING = Constraints(min_quality=0.9, on_unavailable=OnUnavailable.FAIL)


def two(build: Any, one: Any, told: Any, **more: Any) -> Any:
    return build(
        {"small": ["2"], "large": ["3"]},
        {name: [one(name)] for name in PLANS},
        predictions=told(KNOWN),
        **more,
    )


async def test_where_no_plan_reaches_the_target_nothing_is_asked_or_paid(build, ask, one, told):
    world = two(build, one, told)
    done = await world.done(ask(constraints=RATHER_NOTHING))
    assert done.decision.status is Status.ABSTAINED
    assert done.answers == () and done.samples == ()
    assert done.decision.cost == 0.0
    assert "min_quality = 0.9" in done.decision.stop_reason
    assert not any(backend.calls for backend in world.backends.values())
    assert world.store.rows == [done.decision]
    assert (done.decision.usable, done.decision.unusable_reason) == (False, "nothing was asked")


async def test_where_no_plan_reaches_the_target_none_is_decided_on_either(build, ask, one, told):
    world = two(build, one, told)
    with pytest.raises(NoPlan, match=r"min_quality = 0\.9"):
        await world.allocator.decide(ask(constraints=RATHER_NOTHING), Options())
    (row,) = world.store.rows
    assert (row.status, row.reserved, row.unusable_reason) == (Status.FAILED, 0, "nothing was asked")


async def test_a_target_in_reach_is_answered(build, ask, one, told):
    within = Constraints(min_quality=0.6, on_unavailable=OnUnavailable.FAIL)
    done = await two(build, one, told).done(ask(constraints=within))
    assert (done.decision.status, done.decision.plan) == (Status.ANSWERED, "large")


async def test_who_did_not_ask_for_it_gets_the_best_there_is(build, ask, one, told):
    done = await two(build, one, told).done(ask(constraints=Constraints(min_quality=0.9)))
    assert (done.decision.status, done.decision.plan) == (Status.ANSWERED, "large")


@pytest.mark.parametrize("mode", [Mode.OBSERVE, Mode.BYPASS])
async def test_outside_of_apply_the_reference_answers(build, ask, one, told, mode):
    done = await two(build, one, told, mode=mode).done(ask(constraints=RATHER_NOTHING))
    assert done.decision.status is Status.ANSWERED


@pytest.mark.parametrize(("price", "answered_by"), [(0.0, "large"), (1e6, "small")])
async def test_after_the_first_answer_the_price_decides_whether_to_go_on(
    build, ask, one, told, price, answered_by
):
    world = build(
        {"small": ["2"], "large": ["3"]},
        {"hop": [one("small", Hop(to="large")), one("large")]},
        predictions=told(KNOWN, confidences=[0.5]),
        price=price,
    )
    done = await world.done(ask())
    assert done.answers[0].backend == answered_by


async def test_an_answer_of_which_nothing_is_known_is_not_judged_by_that_of_an_earlier_stage(
    build, ask, one, told
):
    known = told(confidences=[0.6])
    judged = known.confidence
    known.confidence = lambda seen, look: judged(seen, look) if seen.latest.backend == "small" else {}
    plan = [one("small", Confident(0.8)), one("mid", Confident(0.5)), one("large")]
    world = build({"small": ["1"], "mid": ["2"], "large": ["3"]}, {"cascade": plan}, predictions=known)
    row = (await world.done(ask())).decision
    assert (row.answer, "sample_confidence" in row.signals) == ("3", False)
    assert row.signals["sample_confidence/0.0"] == 0.6
