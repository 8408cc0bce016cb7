"""Whatever a backend does within its limits, it costs at most the worst case."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from predictors.observation import Message, Part, PartKind, Query, Sampling, Tool
from router.domain.plan import Plan, Prompt, Stage
from router.domain.usage import Price, Usage
from router.selectors.first import First
from router.stopping.never import Never
from router.worst_case import Bound, output_tokens_bound, prompt_tokens_bound, worst_cost


def stage(**more: Any) -> Stage:
    return Stage("small", Never(), First(), **more)


def query(text: str = "hello", **more: Any) -> Query:
    return Query("r", (Message("user", (Part(text=text),)),), **more)


@given(text=st.text(max_size=200))
def test_a_prompt_has_no_more_tokens_than_bytes(text):
    assert prompt_tokens_bound(query(text), stage(), 8) >= len(text.encode("utf-8", "replace"))


def test_tools_images_and_templates_are_part_of_the_prompt():
    plain = prompt_tokens_bound(query(), stage(), 8)
    assert prompt_tokens_bound(query(tools=(Tool("f", parameters="x" * 100),)), stage(), 8) >= plain + 100
    assert prompt_tokens_bound(query(), stage(prompt=Prompt("step", before="y" * 50)), 8) == plain + 50
    image = Query("r", (Message("user", (Part(PartKind.IMAGE_URL, image_url="http://x"),)),))
    assert prompt_tokens_bound(image, stage(), 8) > 1000


def test_the_smallest_limit_bounds_the_output():
    bound = Bound(Price(), 1024, 8)
    assert output_tokens_bound(query(), stage(), bound) == 1024
    assert output_tokens_bound(query(), stage(sampling=Sampling(max_tokens=99)), bound) == 99
    both = query(sampling=Sampling(max_tokens=7))
    assert output_tokens_bound(both, stage(sampling=Sampling(max_tokens=99)), bound) == 7


@given(
    samples=st.integers(1, 20),
    answers=st.integers(1, 4),
    price=st.tuples(st.floats(0, 100), st.floats(0, 100)),
    share=st.floats(0, 1),
)
def test_what_a_backend_may_use_never_costs_more(samples, answers, price, share):
    bound = Bound(Price(price[0], price[0] / 2, price[1]), 64, 8)
    plan = Plan("p", (stage(max_samples=samples),))
    asked = query(answers=answers)
    drawn = max(samples, answers)
    used = Usage(
        tokens_in=int(share * prompt_tokens_bound(asked, plan.stages[0], 8)) * drawn,
        tokens_out=int(share * 64) * drawn,
    )
    assert bound.price.micros(used) <= worst_cost(asked, plan, {"small": bound}) + 1e-6
