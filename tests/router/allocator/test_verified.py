"""Verifiers that judge without gold: a stage's, and the one that a query names."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import ClassVar

import pytest

from router.domain.decision import Status
from router.domain.options import Options
from router.verifiers.regex import Regex
from router.verifiers.schema import Schema

TALK = "Let me think about this for a while, since " + "there is a lot to be said about it, " * 8
PROSE = TALK + "but I found no city."
CITY = TALK + 'and here it is:\n```json\n{"city": "Lima"}\n```'
SCHEMA = Schema(schema='{"type": "object", "required": ["city"]}')


@dataclass(frozen=True, slots=True)
class Slow:
    """Takes its time."""

    answer_kind: ClassVar[str] = "auto"
    needs: ClassVar[str] = ""

    def grade(self, case, answer):
        time.sleep(1.0)
        return 1.0


async def test_a_stages_verifier_ends_the_plan_with_the_sample_that_passed(build, ask, one):
    plan = [one("small", max_samples=4, verifier=SCHEMA), one("large")]
    world = build({"small": [PROSE, CITY, PROSE], "large": [PROSE]}, {"p": plan}, max_tokens=500)
    done = await world.done(ask())
    assert done.answers[0].text == CITY
    assert (done.decision.stop_reason, len(done.samples)) == ("enough: verified", 2)
    assert not world.backends["large"].calls


async def test_a_verifier_reads_the_answer_in_its_own_way_not_in_the_services(build, ask, one):
    world = build({"small": [CITY]}, {"p": [one("small", verifier=SCHEMA)]}, max_tokens=500)
    done = await world.done(ask())
    assert done.answers[0].answer is None  # `auto` finds none in so long a text
    assert done.decision.stop_reason == "enough: verified"


async def test_where_nothing_passes_the_next_stage_is_asked(build, ask, one):
    plan = [one("small", max_samples=2, verifier=SCHEMA), one("large")]
    world = build({"small": [PROSE], "large": ["large"]}, {"p": plan}, max_tokens=500)
    done = await world.done(ask())
    assert done.answers[0].backend == "large"
    assert len(done.samples) == 3


async def test_a_query_names_one_of_the_services_verifiers(build, ask, one):
    world = build({"small": ["5", "1999", "6"]}, {"p": [one("small", max_samples=3)]})
    world.allocator.books.verifiers = {"year": Regex(r"\d{4}")}
    done = await world.done(ask(verifier="year"))
    assert done.answers[0].text == "1999"
    assert len(done.samples) == 2
    assert len((await world.done(ask(request_id="r2"))).samples) == 3


async def test_the_verifier_of_the_query_comes_before_the_stages(build, ask, one):
    plan = [one("small", max_samples=3, verifier=Regex("5"))]
    world = build({"small": ["5", "1999", "6"]}, {"p": plan})
    world.allocator.books.verifiers = {"year": Regex(r"\d{4}")}
    assert (await world.done(ask(verifier="year"))).answers[0].text == "1999"
    assert (await world.done(ask(request_id="r2"))).answers[0].text == "5"


@pytest.mark.timeout(60)
async def test_a_slow_verifier_does_not_keep_a_caller_beyond_the_deadline(build, ask, one):
    world = build({"small": ["5"]}, {"p": [one("small", max_samples=3, verifier=Slow())]})
    done = await world.done(ask(), Options(time_left_s=0.4))
    assert done.decision.status is Status.DEADLINE_CUT
    assert done.answers[0].text == "5"
