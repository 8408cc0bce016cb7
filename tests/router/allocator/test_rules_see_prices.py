"""What rules and selectors are told while a plan runs: the price, what samples cost, what a verifier said."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from predictors.observation import Sampling, Signals
from router.domain.verdict import MORE
from router.selectors.surprisal import Surprisal
from router.stopping.hopeless import Hopeless
from router.stopping.value_of_next import ValueOfNext

SAME = [
    f"So it is {word}.\nThe answer is 7." for word in ("clear", "plain", "evident", "sure", "known", "said")
]


@dataclass(frozen=True)
class Listening:
    """Keeps the signals that it was shown."""

    heard: list[Signals] = field(default_factory=list, compare=False)

    reads_content: ClassVar[bool] = True

    def verdict(self, seen, signals):
        self.heard.append(dict(signals))
        return MORE


@dataclass(frozen=True)
class Marks:
    """Half a point for a text with "plain", a quarter for others."""

    answer_kind: ClassVar[str] = "exact"
    needs: ClassVar[str] = ""

    def grade(self, case, answer):
        return 0.5 if answer and "plain" in answer else 0.25


async def test_a_rule_over_several_samples_hears_the_price_and_what_a_sample_costs(build, ask, one, told):
    rule = Listening()
    known = told({"tokens_in/small": 100.0, "tokens_out/small": 10.0})
    world = build({"small": SAME}, {"p": [one("small", rule, max_samples=2)]}, predictions=known, price=50.0)
    await world.done(ask())
    assert rule.heard[0]["price"] == 50.0
    assert rule.heard[0]["sample_cost/small"] == 100 * 1.0 + 10 * 10.0  # micro-dollars


async def test_every_stage_hears_what_its_own_samples_cost(build, ask, one, told):
    first, second = Listening(), Listening()
    short, long = Sampling(max_tokens=4), Sampling(max_tokens=16)
    plan = [
        one("small", first, max_samples=2, sampling=short),
        one("large", max_samples=2, sampling=short),
        one("small", second, max_samples=2, sampling=long),
    ]
    known = told({"tokens_in/small": 100.0, "tokens_out/small": 16.0, "tokens_in/large": 0.0})
    world = build({"small": SAME, "large": SAME}, {"p": plan}, predictions=known, price=50.0)
    done = await world.done(ask())
    assert {heard["sample_cost/small"] for heard in first.heard} == {100 * 1.0 + 4 * 10.0}
    assert {heard["sample_cost/small"] for heard in second.heard} == {100 * 1.0 + 16 * 10.0}
    assert first.heard[0]["sample_cost/large"] > 0  # of the stage that comes
    assert done.decision.signals["price"] == 50.0


async def test_a_dear_sample_is_not_drawn_where_a_cheap_one_is(build, ask, one, told):
    drawn = []
    for price in (0.0, 5000.0):  # 116 micro-dollars a sample: nothing, and .6 of quality
        known = told({"p_correct/small": 0.5, "p_two_correct/small": 0.35})
        plan = [one("small", ValueOfNext(), max_samples=6)]
        world = build({"small": SAME}, {"p": plan}, predictions=known, price=price)
        drawn.append(len((await world.done(ask())).samples))
    assert drawn[0] > 1
    assert drawn[1] == 1


async def test_a_hopeless_stage_is_left_for_the_next(build, ask, one):
    different = [f"The answer is {number}." for number in (3, 14, 15, 92, 65)]
    plan = [one("small", Hopeless(3), max_samples=5), one("large")]
    world = build({"small": different, "large": ["The answer is 7."]}, {"p": plan})
    done = await world.done(ask())
    assert done.answers[0].text == "The answer is 7."
    assert len(done.samples) == 4


async def test_what_a_verifier_scored_reaches_the_selector(build, ask, one):
    plan = [one("small", max_samples=4, verifier=Marks(), select=Surprisal())]
    world = build({"small": SAME}, {"p": plan})
    done = await world.done(ask())
    assert "plain" in done.answers[0].text
    assert done.decision.signals["verified/" + done.answers[0].sample_id] == 0.5
