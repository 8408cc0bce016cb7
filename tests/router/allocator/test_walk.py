"""The walk of one query through its plan."""

from __future__ import annotations

import asyncio

import pytest

from predictors.observation import Constraints, OnUnavailable, Preferences, Sampling
from router.domain.decision import Mode, Status
from router.domain.events import AnswerDelta, Delta, Judged, SampleEnded, Started
from router.domain.options import Options
from router.domain.plan import Gate
from router.errors import (
    BackendRefused,
    BackendUnavailable,
    BudgetExceeded,
    DeadlineExceeded,
    InvalidQuery,
    NoPlan,
    UnknownName,
)
from router.policies.softmax import Softmax
from router.stopping.agreement import Agreement
from router.stopping.confident import Confident
from router.stopping.token_cap import TokenCap

WORST = 191  # micro-dollars of one sample: 15 bytes of prompt + 16 of template, 16 tokens out


def the_answer(text: str) -> str:
    return f"The answer is {text}."


async def test_a_single_sample_is_the_answer_and_is_logged(build, ask, one):
    world = build({"small": ["2"]}, {"small": [one("small")]})
    done = await world.done(ask())
    assert done.answers[0].text == "2"
    (row,) = world.store.rows
    assert (row.plan, row.status, row.stop_reason) == ("small", Status.ANSWERED, "exhausted")
    assert row.propensity == 1.0
    assert row.decision_id == "d-r1"
    assert row.cost == pytest.approx(4 * 1.0 + 1 * 10.0)  # 15 bytes of prompt as 4 tokens, one token out


async def test_sampling_stops_and_nothing_more_is_started_once_enough_samples_agree(build, ask, one):
    script = [the_answer("4"), the_answer("5"), the_answer("4"), the_answer("6")]
    vote = one("small", Agreement(needed=2), max_samples=8)
    world = build({"small": script}, {"vote": [vote]})
    done = await world.done(ask())
    assert [sample.answer for sample in done.samples] == ["4", "5", "4"]
    assert done.answers[0].answer == "4"
    assert done.decision.stop_reason == "enough: Agreement"
    assert world.backends["small"].in_flight == set()


async def test_equal_answers_get_equal_classes(build, ask, one):
    script = [the_answer("1,000"), the_answer("1000"), the_answer("7")]
    world = build({"small": script}, {"vote": [one("small", max_samples=3)]})
    done = await world.done(ask())
    assert [sample.answer_class for sample in done.samples] == [0, 0, 1]


async def test_a_confident_first_stage_ends_the_cascade(build, ask, one, told):
    plan = [one("small", Confident(0.8)), one("large")]
    world = build({"small": ["2"], "large": ["3"]}, {"cascade": plan}, predictions=told(confidences=[0.9]))
    done = await world.done(ask())
    assert done.answers[0].backend == "small"
    assert done.answers[0].confidence is None
    assert done.decision.confidence == 0.9
    assert not world.backends["large"].calls


async def test_an_unsure_first_stage_escalates(build, ask, one, told):
    plan = [one("small", Confident(0.8)), one("large")]
    world = build(
        {"small": ["2"], "large": ["3"]}, {"cascade": plan}, predictions=told(confidences=[0.3, 0.7])
    )
    done = await world.done(ask())
    assert done.answers[0].backend == "large"
    assert [sample.stage for sample in done.samples] == [0, 1]
    assert set(done.decision.usage) == {"small", "large"}


async def test_a_closed_gate_skips_its_stage(build, ask, one, told):
    plan = [one("small", gate=Gate("p_correct/small", at_least=0.5)), one("large")]
    world = build(
        {"small": ["2"], "large": ["3"]}, {"gated": plan}, predictions=told({"p_correct/small": 0.2})
    )
    done = await world.done(ask())
    assert not world.backends["small"].calls
    assert done.answers[0].backend == "large"


async def test_a_pooled_selection_counts_the_votes_of_all_stages(build, ask, one):
    plan = [
        one("small", Agreement(3), max_samples=2),
        one("large", max_samples=2, pool=True),
    ]
    scripts = {"small": [the_answer("4"), the_answer("4")], "large": [the_answer("5"), the_answer("4")]}
    done = await build(scripts, {"pooled": plan}).done(ask())
    assert done.answers[0].answer == "4"
    assert done.answers[0].backend == "small"


async def test_a_stream_that_commits_at_the_first_token_is_shown_as_it_comes(build, ask, one):
    world = build({"small": ["one two three"]}, {"small": [one("small")]})
    events = await world.events(ask(), Options(stream=True))
    assert [event.text for event in events if isinstance(event, AnswerDelta)] == ["one", " two", " three"]
    assert isinstance(events[0], Started)
    assert events[0].streams


async def test_an_escalating_cascade_never_shows_text_that_is_not_in_the_answer(build, ask, one, told):
    plan = [one("small", Confident(0.8)), one("large")]
    scripts = {"small": ["wrong wrong"], "large": ["right answer"]}
    world = build(scripts, {"cascade": plan}, predictions=told(confidences=[0.1, 0.9]))
    events = await world.events(ask(), Options(stream=True))
    assert "".join(event.text for event in events if isinstance(event, AnswerDelta)) == "right answer"


async def test_a_streamed_vote_shows_the_winner_alone(build, ask, one):
    script = [the_answer("5"), the_answer("4"), the_answer("4")]
    world = build({"small": script}, {"vote": [one("small", Agreement(2), max_samples=5, width=1)]})
    events = await world.events(ask(), Options(stream=True))
    assert "".join(event.text for event in events if isinstance(event, AnswerDelta)) == the_answer("4")


async def test_samples_are_told_only_when_asked(build, ask, one):
    world = build({"small": ["one two"]}, {"small": [one("small", max_samples=2)]})
    quiet = await world.events(ask())
    told_events = await world.events(ask(request_id="r2"), Options(tell=True))
    assert not any(isinstance(event, (Delta, SampleEnded)) for event in quiet)
    assert sum(isinstance(event, SampleEnded) for event in told_events) == 2
    assert sum(isinstance(event, Judged) for event in told_events) == 2
    assert any(isinstance(event, Delta) for event in told_events)


async def test_the_caller_may_want_several_answers(build, ask, one):
    world = build({"small": ["a", "b", "c"]}, {"small": [one("small")]})
    done = await world.done(ask(answers=3))
    assert [sample.text for sample in done.answers] == ["a", "b", "c"]


async def test_the_callers_sampling_comes_before_the_stages(build, ask, one):
    stage = one("small", sampling=Sampling(temperature=0.7, max_tokens=8))
    world = build({"small": ["a"]}, {"small": [stage]})
    await world.done(ask(sampling=Sampling(temperature=0.1)))
    (call,) = world.backends["small"].calls
    assert (call.sampling.temperature, call.sampling.max_tokens) == (0.1, 8)


async def test_a_token_cap_ends_the_stage(build, ask, one):
    world = build({"small": ["a b c"]}, {"small": [one("small", TokenCap(tokens=5), max_samples=9)]})
    done = await world.done(ask())
    assert len(done.samples) == 2


async def test_equal_seeds_and_ids_draw_equal_plans_and_others_differ(build, ask, one):
    scripts = {"small": ["a"], "large": ["b"]}
    plans = {"small": [one("small")], "large": [one("large")]}
    policy = Softmax(explore=1.0, temperature=1.0)
    drawn = []
    for _ in range(2):
        world = build(scripts, plans, policy=policy)
        drawn.append([(await world.done(ask(request_id=f"r{n}"))).decision.plan for n in range(40)])
    assert drawn[0] == drawn[1]
    assert set(drawn[0]) == {"small", "large"}


async def test_a_session_keeps_its_plan(build, ask, one):
    plans = {"small": [one("small")], "large": [one("large")]}
    world = build({"small": ["a"], "large": ["b"]}, plans, policy=Softmax(explore=1.0, temperature=1.0))
    drawn = {(await world.done(ask(request_id=f"r{n}", session_id="s"))).decision.plan for n in range(20)}
    assert len(drawn) == 1


async def test_the_logged_propensity_is_the_probability_of_what_was_served(build, ask, one):
    plans = {"small": [one("small")], "large": [one("large")]}
    world = build({"small": ["a"], "large": ["b"]}, plans, policy=Softmax(explore=0.4, floor=0.1))
    for n in range(30):
        row = (await world.done(ask(request_id=f"r{n}"))).decision
        assert row.propensity == row.probabilities[row.plan]
        assert row.usable
        assert sum(row.probabilities.values()) == pytest.approx(1.0)


async def test_bypass_serves_the_reference_and_predicts_nothing(build, ask, one, told):
    plans = {"small": [one("small")], "large": [one("large")]}
    sure = told({"p_correct/small": 0.9, "p_correct/large": 0.1})
    world = build({"small": ["a"], "large": ["b"]}, plans, predictions=sure, mode=Mode.BYPASS)
    row = (await world.done(ask())).decision
    assert (row.plan, row.policy, row.signals, row.usable) == ("large", "reference", {}, False)


async def test_observe_serves_the_reference_and_logs_what_it_would_have_done(build, ask, one, told):
    plans = {"small": [one("small")], "large": [one("large")]}
    sure = told({"p_correct/small": 0.9, "p_correct/large": 0.1})
    world = build({"small": ["a"], "large": ["b"]}, plans, predictions=sure, mode=Mode.OBSERVE)
    row = (await world.done(ask())).decision
    assert (row.plan, row.would_plan, row.would_propensity) == ("large", "small", 1.0)
    assert not row.usable


async def test_the_price_moves_the_choice_from_the_better_to_the_cheaper_plan(build, ask, one, told):
    plans = {"small": [one("small")], "large": [one("large")]}
    known = told({"p_correct/small": 0.6, "p_correct/large": 0.8})
    world = build({"small": ["a"], "large": ["b"]}, plans, predictions=known, price=1.0)
    cheap = await world.done(ask(preferences=Preferences(cost_weight=1e6)))
    dear = await world.done(ask(request_id="r2", preferences=Preferences(cost_weight=0.0)))
    assert (cheap.decision.plan, dear.decision.plan) == ("small", "large")


async def test_a_quality_target_takes_the_cheapest_plan_that_reaches_it(build, ask, one, told):
    plans = {"small": [one("small")], "large": [one("large")]}
    known = told({"p_correct/small": 0.6, "p_correct/large": 0.8})
    for target, plan in ((0.5, "small"), (0.7, "large"), (0.99, "large")):
        world = build({"small": ["a"], "large": ["b"]}, plans, predictions=known)
        done = await world.done(ask(constraints=Constraints(min_quality=target)))
        assert done.decision.plan == plan


async def test_an_unknown_plan_is_named_with_the_choices(build, ask, one):
    world = build({"small": ["a"]}, {"small": [one("small")]})
    with pytest.raises(UnknownName, match="unknown plan 'nope'; choose from small"):
        await world.done(ask(constraints=Constraints(plan="nope")))
    assert world.store.rows == []


async def test_a_verifier_that_is_not_there_is_refused(build, ask, one):
    world = build({"small": ["a"]}, {"small": [one("small")]})
    with pytest.raises(InvalidQuery, match="verifier"):
        await world.done(ask(verifier="exact"))


async def test_a_denied_backend_leaves_no_plan(build, ask, one):
    world = build({"small": ["a"]}, {"small": [one("small")]})
    with pytest.raises(NoPlan, match="does not allow backend 'small'"):
        await world.done(ask(constraints=Constraints(denied_backends=("small",))))


async def test_the_worst_case_above_max_cost_leaves_no_plan(build, ask, one):
    world = build({"small": ["a"]}, {"small": [one("small")]})
    with pytest.raises(NoPlan, match="above max_cost = 3"):
        await world.done(ask(constraints=Constraints(max_cost_micros=3)))


async def test_an_empty_budget_refuses_and_a_settled_one_serves_on(build, ask, one):
    world = build({"small": ["a"]}, {"small": [one("small")]}, budget=300)
    served = 0
    while (world.ledger.balance().left or 0) >= WORST:
        await world.done(ask(request_id=f"r{served}"))
        served += 1
    with pytest.raises(BudgetExceeded, match="no plan can be paid for"):
        await world.done(ask(request_id="one more"))
    balance = world.ledger.balance()
    assert balance.reserved == 0
    assert balance.spent == served * 14
    assert served > 300 // WORST  # what was not used came back


async def test_a_dead_backend_hands_over_to_another_plan_and_says_so(build, ask, one):
    plans = {"small": [one("small")], "large": [one("large")]}
    world = build({"small": ["a"], "large": ["!unavailable"]}, plans)
    done = await world.done(ask())
    assert done.answers[0].text == "a"
    assert done.decision.plan == "small"
    assert any("took over" in reason for reason in done.decision.degraded)
    assert world.ledger.balance().reserved == 0


async def test_a_dead_backend_fails_where_the_caller_said_so(build, ask, one):
    plans = {"small": [one("small")], "large": [one("large")]}
    world = build({"small": ["a"], "large": ["!unavailable"]}, plans)
    with pytest.raises(BackendUnavailable) as caught:
        await world.done(ask(constraints=Constraints(on_unavailable=OnUnavailable.FAIL)))
    assert caught.value.decision_id == "d-r1"
    assert world.store.rows[0].status is Status.FAILED


async def test_a_dead_second_stage_leaves_the_answer_of_the_first(build, ask, one, told):
    plan = [one("small", Confident(0.8)), one("large")]
    world = build(
        {"small": ["2"], "large": ["!timeout"]}, {"cascade": plan}, predictions=told(confidences=[0.1])
    )
    done = await world.done(ask())
    assert done.answers[0].text == "2"
    assert any("'large' failed" in reason for reason in done.decision.degraded)


async def test_a_dead_first_stage_is_skipped(build, ask, one):
    plan = [one("small", Confident(0.8)), one("large")]
    world = build({"small": ["!garbled"], "large": ["3"]}, {"cascade": plan})
    done = await world.done(ask())
    assert done.answers[0].text == "3"


async def test_a_request_that_the_backend_calls_invalid_is_not_tried_elsewhere(build, ask, one):
    plans = {"small": [one("small")], "large": [one("large")]}
    world = build({"small": ["a"], "large": ["!refused"]}, plans)
    with pytest.raises(BackendRefused):
        await world.done(ask())


async def test_leaving_frees_the_backend_settles_and_logs(build, ask, one):
    world = build({"small": ["a", "!hang"]}, {"vote": [one("small", max_samples=4, width=2)]}, budget=10_000)
    stream = world.allocator.run(ask(), Options(tell=True))
    async for event in stream:
        if isinstance(event, SampleEnded):
            break
    await stream.aclose()
    assert world.backends["small"].in_flight == set()
    assert world.ledger.balance().reserved == 0
    assert world.store.rows[0].status is Status.CANCELLED
    assert world.allocator.in_flight == 0


async def test_a_cancelled_task_frees_the_backend_settles_and_logs(build, ask, one):
    world = build({"small": ["!hang"]}, {"small": [one("small")]}, budget=10_000)
    task = asyncio.create_task(world.done(ask()))
    while not world.backends["small"].in_flight:  # noqa: ASYNC110 (the backend is a product, without an event for tests)
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert world.backends["small"].in_flight == set()
    assert world.ledger.balance().reserved == 0
    assert world.store.rows[0].status is Status.CANCELLED


async def test_a_deadline_answers_with_what_there_is(build, ask, one):
    world = build({"small": ["a", "!hang"]}, {"vote": [one("small", max_samples=4, width=1)]})
    done = await world.done(ask(), Options(time_left_s=0.2))
    assert done.answers[0].text == "a"
    assert done.decision.status is Status.DEADLINE_CUT
    assert world.backends["small"].in_flight == set()


async def test_a_deadline_with_nothing_to_show_is_an_error(build, ask, one):
    world = build({"small": ["!hang"]}, {"small": [one("small")]})
    with pytest.raises(DeadlineExceeded):
        await world.done(ask(), Options(time_left_s=0.1))
    assert world.store.rows[0].status is Status.FAILED


async def test_deciding_alone_logs_and_draws_nothing(build, ask, one):
    world = build({"small": ["a"]}, {"small": [one("small")]}, budget=10_000)
    decided = world.allocator.decide(ask(), Options())
    assert decided.plan.name == "small"
    assert world.store.rows[0].stop_reason == "decided"
    assert world.backends["small"].calls == []
    assert world.ledger.balance().reserved == 0


async def test_an_estimate_leaves_no_trace(build, ask, one):
    world = build({"small": ["a"]}, {"small": [one("small")]}, budget=10_000)
    estimate = world.allocator.estimate(ask(), Options())
    assert estimate.forecasts[0].worst_cost > estimate.forecasts[0].cost
    assert world.store.rows == []
