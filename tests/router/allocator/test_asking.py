"""What selectors ask of other backends: put while the query lives, booked as side calls, reserved, never fatal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import pytest

from predictors.observation import Constraints, Sample
from router.backends import Call, Capabilities
from router.costs.worst_case import worst_amount
from router.domain.backend_state import BackendState
from router.domain.decision import Mode
from router.domain.events import Delta
from router.domain.options import Options
from router.domain.usage import Meter, Usage
from router.selectors.judge import Judge
from router.selectors.pairwise import Pairwise
from router.selectors.synthesis import Synthesis

VOTES = ["The answer is 4.", "The answer is 5.", "The answer is 4."]


class Knows:
    """Says YES to texts with "is 5", no to others, and prefers them in pairs."""

    name = "large"
    capabilities = Capabilities()

    def __init__(self, text: str = "") -> None:
        self.calls: list[Call] = []
        self.text = text
        self.together = self.most = 0

    async def sample(self, call: Call, meter: Meter) -> AsyncGenerator[Sample | Delta, None]:
        self.calls.append(call)
        self.together += 1
        self.most = max(self.most, self.together)
        await asyncio.sleep(0)
        self.together -= 1
        asked = call.query.messages[-1].text
        text = self.text or ("YES" if "is 5" in asked else "NO")
        if "Which is better" in asked:
            text = "FIRST" if asked.index("is 5") < asked.index("is 4") else "SECOND"
        meter.add("large", Usage(tokens_in=100, tokens_out=1, samples=1))
        yield Sample("0.0", "large", text=text, tokens_in=100, tokens_out=1)

    async def close(self) -> None:
        """Nothing."""


def voting(build: Any, one: Any, select: Any, knows: Knows | None = None, **more: Any) -> Any:
    """Three samples of `small`, of which two are wrong; `large` is asked."""
    plan = [one("small", max_samples=3, select=select)]
    world = build({"small": VOTES, "large": ["hm"]}, {"vote": plan}, **more)
    if knows is not None:
        world.allocator.backends["large"] = knows
    return world


@pytest.mark.parametrize(("select", "calls"), [(Judge("large"), 2), (Pairwise("large"), 2)])
async def test_the_backend_that_is_asked_decides_against_the_votes(build, ask, one, select, calls):
    knows = Knows()
    done = await voting(build, one, select, knows).done(ask())
    assert done.answers[0].answer == "5"
    assert len(knows.calls) == calls
    assert all(call.sampling.temperature == 0.0 and call.sampling.max_tokens == 16 for call in knows.calls)


async def test_a_synthesis_is_the_answer_and_no_sample_of_the_decision(build, ask, one):
    done = await voting(build, one, Synthesis("large"), Knows("The answer is 9.")).done(ask())
    assert (done.answers[0].answer, done.answers[0].sample_id) == ("9", "0.synthesis")
    assert (done.decision.answer, done.decision.confidence) == ("9", None)
    assert [sample.backend for sample in done.samples] == ["small"] * 3


async def test_a_synthesis_that_agrees_has_the_votes_confidence(build, ask, one):
    done = await voting(build, one, Synthesis("large"), Knows("It is 4. The answer is 4.0")).done(ask())
    assert done.answers[0].sample_id == "0.synthesis"
    assert done.decision.confidence == pytest.approx(2 / 3)


async def test_the_stages_prompt_is_part_of_what_a_writer_reads(build, ask, one):
    from router.domain.plan import Prompt

    knows, prompt = Knows("The answer is 4."), Prompt("form", after="\nWrite a number.")
    plan = [one("small", max_samples=3, select=Synthesis("large"), prompt=prompt)]
    world = build({"small": VOTES, "large": ["hm"]}, {"vote": plan})
    world.allocator.backends["large"] = knows
    await world.done(ask())
    assert knows.calls[0].query.messages[0].text == "What is 1 + 1?\nWrite a number."


@pytest.mark.parametrize("select", [Judge("large"), Pairwise("large"), Synthesis("large")])
async def test_a_question_is_its_tenants_and_says_nothing_else_of_the_query(build, ask, one, select):
    knows = Knows("The answer is 4.") if isinstance(select, Synthesis) else Knows()
    query = ask(
        tenant="acme", metadata={"x-recording-query-id": "q1"}, extra={"guided_choice": ["4"]}, priority=3
    )
    world = voting(build, one, select, knows)
    world.backends["small"].capabilities = replace(
        world.backends["small"].capabilities, extra=frozenset(query.extra)
    )
    world.allocator.books.chooser.feasibility.capabilities["small"] = world.backends["small"].capabilities
    await world.done(query)
    assert knows.calls
    for call in knows.calls:
        assert (call.query.tenant, call.query.priority, call.query.request_id) == ("acme", 3, "r1")
        assert (call.query.metadata, call.query.extra) == ({}, {})


async def test_where_a_format_is_wanted_no_synthesis_is_written(build, ask, one):
    knows = Knows("The answer is 9.")
    done = await voting(build, one, Synthesis("large"), knows).done(
        ask(response_format='{"type": "json_object"}')
    )
    assert (done.answers[0].answer, knows.calls) == ("4", [])


async def test_questions_are_booked_as_side_calls_and_charged(build, ask, one):
    world = voting(build, one, Judge("large"), Knows(), budget=10**9)
    done = await world.done(ask())
    usage = done.decision.usage["large"]
    assert (usage.side_calls, usage.samples, usage.tokens_in, usage.tokens_out) == (2, 0, 200, 2)
    assert done.decision.costs["large"] == pytest.approx(200 * 1.0 + 2 * 20.0)
    assert done.decision.charged >= 240
    assert world.ledger.left("") == 10**9 - done.decision.charged


@pytest.mark.parametrize("select", [Judge("large"), Pairwise("large", candidates=4), Synthesis("large")])
async def test_the_worst_case_covers_what_questions_use(build, ask, one, select):
    """Scripted replies of as many tokens as allowed to prompts as long as they may be."""
    long = [f"{'so it goes ' * 400} The answer is {number}." for number in range(5)]
    plan = [one("small", max_samples=5, select=select)]
    world = build({"small": long, "large": ["x " * 600]}, {"vote": plan}, max_tokens=2000)
    done = await world.done(ask())
    used, tokens = done.decision.usage["large"], done.decision.usage["small"]
    assert used.side_calls > 0
    assert done.decision.cost <= done.decision.reserved
    amount = worst_amount(
        ask(), world.allocator.books.chooser.menu.plans[0], world.allocator.books.chooser.forecaster.bounds
    )
    assert used.tokens_in + used.tokens_out + tokens.tokens_in + tokens.tokens_out <= amount.tokens
    assert amount.micros == done.decision.reserved


async def test_no_more_than_four_questions_of_a_query_are_in_flight(build, ask, one):
    knows = Knows()
    script = [f"The answer is {number}." for number in (4, 5, 6, 7)]
    world = build(
        {"small": script, "large": ["hm"]}, {"vote": [one("small", max_samples=4, select=Judge("large"))]}
    )
    world.allocator.backends["large"] = knows
    await world.done(ask())
    assert (len(knows.calls), knows.most) == (4, 4)


@pytest.mark.parametrize("fault", ["!timeout", "!unavailable", "!garbled", "!refused"])
@pytest.mark.parametrize("select", [Judge("large"), Pairwise("large"), Synthesis("large")])
async def test_where_questions_fail_the_majority_answers_and_the_row_says_so(build, ask, one, select, fault):
    world = build({"small": VOTES, "large": [fault]}, {"vote": [one("small", max_samples=3, select=select)]})
    done = await world.done(ask())
    assert done.answers[0].answer == "4"
    assert sum("question to backend 'large' failed" in why for why in done.decision.degraded) == 1


async def test_a_question_that_hangs_ends_at_the_deadline(build, ask, one):
    world = build(
        {"small": VOTES, "large": ["!hang"]}, {"vote": [one("small", max_samples=3, select=Judge("large"))]}
    )
    done = await world.done(ask(), Options(time_left_s=0.3))
    assert done.answers[0].answer == "4"
    assert any("no time left" in why for why in done.decision.degraded)
    assert world.backends["large"].in_flight == set()


async def test_a_caller_who_leaves_frees_the_backend_that_is_asked(build, ask, one):
    world = build(
        {"small": VOTES, "large": ["!hang"]}, {"vote": [one("small", max_samples=3, select=Judge("large"))]}
    )
    running = asyncio.create_task(world.done(ask()))
    while not world.backends["large"].in_flight:  # noqa: ASYNC110 (nothing else tells of it)
        await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert world.backends["large"].in_flight == set()
    assert world.store.rows[0].error == "the caller left"


async def test_nobody_is_asked_of_whom_the_caller_or_an_operator_will_not_hear(build, ask, one):
    for wants in (Constraints(denied_backends=("large",)), Constraints(allowed_backends=("small",))):
        knows = Knows()
        done = await voting(build, one, Judge("large"), knows).done(ask(constraints=wants))
        assert (done.answers[0].answer, knows.calls) == ("4", [])
    knows = Knows()
    world = voting(build, one, Judge("large"), knows)
    world.allocator.switch.set("large", BackendState.DRAIN)
    assert (await world.done(ask())).answers[0].answer == "4"
    assert knows.calls == []


async def test_all_cleverness_off_asks_nobody(build, ask, one):
    knows = Knows()
    done = await voting(build, one, Judge("large"), knows, mode=Mode.BYPASS).done(ask())
    assert (done.answers[0].answer, knows.calls) == ("4", [])


async def test_a_judge_that_says_more_than_it_may_is_put_into_quarantine(build, ask, one):
    world = voting(build, one, Judge("large", max_tokens=1))
    world.allocator.backends["large"] = Talks()
    await world.done(ask())
    assert "quarantine" in world.allocator.switch.objection("large")


class Talks(Knows):
    """Does not keep to `max_tokens`."""

    async def sample(self, call: Call, meter: Meter) -> AsyncGenerator[Sample | Delta, None]:
        meter.add("large", Usage(tokens_in=9, tokens_out=99, samples=1))
        yield Sample("0.0", "large", text="YES", tokens_in=9, tokens_out=99)
