"""The rule `self_eval` while a query lives: one question behind every sample, on the prefix of that sample."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from math import log
from typing import Any

import pytest

from predictors.observation import Sample, TokenLogprob
from router.backends import Call, Capabilities
from router.domain.decision import Mode
from router.domain.events import Delta
from router.domain.plan import Prompt
from router.domain.usage import Meter, Usage
from router.stopping.self_eval import WORDS, SelfEval


class Doubts:
    """Answers 1, 2, 3, …; is sure of its third answer alone. Books what it reads and writes."""

    name = "small"

    def __init__(self) -> None:
        self.capabilities = Capabilities(logprobs=True, token_logprobs=True)
        self.questions: list[Call] = []

    async def sample(self, call: Call, meter: Meter) -> AsyncGenerator[Sample | Delta, None]:
        if call.query.messages[-1].text == WORDS:
            self.questions.append(call)
            sure = 0.9 if "3" in call.query.messages[-2].text else 0.2
            top = (TokenLogprob("No", log(sure)), TokenLogprob("Yes", log(1 - sure)))
            meter.add("small", Usage(tokens_in=40, tokens_cached=30, tokens_out=1, samples=1))
            yield Sample(
                "0.0", "small", text="No", token_logprobs=(TokenLogprob("No", 0.0, top=top),), tokens_out=1
            )
            return
        for number in range(call.max_samples):
            meter.add("small", Usage(tokens_in=20, tokens_out=5, samples=1))
            text = f"The answer is {number + 1}."
            yield Sample(
                f"{call.stage}.{number}", "small", text=text, stage=call.stage, index=number, tokens_out=5
            )

    async def close(self) -> None:
        """Nothing."""


def doubting(build: Any, one: Any, **more: Any) -> tuple[Any, Doubts]:
    prompt = Prompt("form", after=" Think.")
    plan = [one("small", SelfEval(0.8), max_samples=8, prompt=prompt)]
    world = build({"small": ["x"]}, {"vote": plan}, **more)
    world.allocator.backends["small"] = doubts = Doubts()
    return world, doubts


async def test_it_stops_at_the_sample_that_the_model_would_not_do_again(build, ask, one):
    world, doubts = doubting(build, one)
    done = await world.done(ask())
    assert [sample.answer for sample in done.samples] == ["1", "2", "3"]
    assert done.decision.stop_reason == "enough: self_eval"
    assert done.decision.signals["self_eval/0.2"] == pytest.approx(0.9)
    assert len(doubts.questions) == 3


async def test_the_question_comes_behind_the_prompt_and_the_sample(build, ask, one):
    world, doubts = doubting(build, one)
    await world.done(ask())
    call = doubts.questions[0]
    turns = [(message.role, message.text) for message in call.query.messages]
    assert turns == [
        ("user", "What is 1 + 1? Think."), ("assistant", "The answer is 1."), ("user", WORDS),
    ]  # fmt: skip
    assert (call.sampling.max_tokens, call.sampling.temperature, call.query.token_logprobs) == (1, 0.0, True)


async def test_every_question_is_a_side_call_that_was_reserved(build, ask, one):
    world, _ = doubting(build, one, budget=10**9)
    done = await world.done(ask())
    usage = done.decision.usage["small"]
    assert (usage.samples, usage.side_calls) == (3, 3)
    assert (usage.tokens_in, usage.tokens_out) == (3 * 20 + 3 * 40, 3 * 5 + 3 * 1)
    assert done.decision.cost <= done.decision.reserved


async def test_all_cleverness_off_asks_nothing(build, ask, one):
    world, doubts = doubting(build, one, mode=Mode.BYPASS)
    done = await world.done(ask())
    assert (len(done.samples), doubts.questions) == (8, [])


async def test_a_scripted_backend_without_probabilities_is_heard_by_its_word(build, ask, one):
    """It says "No" to everything, also to the question: enough at the first sample with an answer."""
    world = build({"small": ["No"]}, {"vote": [one("small", SelfEval(0.8), max_samples=8)]})
    done = await world.done(ask())
    assert (len(done.samples), done.decision.stop_reason) == (1, "enough: self_eval")
