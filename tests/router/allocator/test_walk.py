"""The walk of one query through its plan."""

from __future__ import annotations

import pytest

from predictors.observation import Sampling
from router.domain.decision import Status
from router.domain.events import AnswerDelta, Delta, Judged, SampleEnded, Started
from router.domain.options import Options
from router.domain.plan import Gate
from router.policies.softmax import Softmax
from router.stopping.agreement import Agreement
from router.stopping.confident import Confident
from router.stopping.token_cap import TokenCap


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
    assert done.decision.stop_reason == "enough: agreement"
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


async def test_a_closed_gate_of_the_last_stage_skips_it_where_there_is_an_answer_and_only_there(
    build, ask, one, told
):
    closed = Gate("p_correct/small", at_least=0.5)
    known = told({"p_correct/small": 0.2})
    plan = [one("small"), one("large", gate=closed)]
    answered = build({"small": ["2"], "large": ["3"]}, {"gated": plan}, predictions=known)
    assert (await answered.done(ask())).answers[0].backend == "small"
    assert not answered.backends["large"].calls
    silent = build({"small": ["!unavailable"], "large": ["3"]}, {"gated": plan}, predictions=known)
    assert (await silent.done(ask())).answers[0].backend == "large"


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
