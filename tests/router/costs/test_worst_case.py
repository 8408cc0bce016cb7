"""Whatever a backend does within its limits, it costs at most the worst case."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from predictors.observation import Message, Part, PartKind, Query, Sampling, Tool, ToolCall
from router.costs.worst_case import (
    IMAGE_TOKENS,
    Bound,
    output_tokens_bound,
    prompt_tokens_bound,
    query_size,
    samples_bound,
    used_amount,
    worst_amount,
    worst_asking,
    worst_cost,
)
from router.domain.asking import Asks
from router.domain.plan import Plan, Prompt, Stage
from router.domain.usage import Price, Usage
from router.selectors.first import First
from router.stopping.any_of import AnyOf
from router.stopping.converged import Converged
from router.stopping.never import Never
from router.stopping.self_eval import SelfEval
from router.stopping.token_cap import TokenCap


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


BACKENDS = ("small", "large")
NUMBERS = st.tuples(st.floats(0, 100), st.floats(0, 100), st.floats(0, 100), st.floats(0, 1000))


@given(
    data=st.data(), prices=st.tuples(NUMBERS, NUMBERS), answers=st.integers(1, 4), text=st.text(max_size=80)
)
def test_whatever_backends_return_within_their_limits_is_reserved(data, prices, answers, text):
    """In money, tokens and GPU seconds; over stages, side by side, cached or not."""
    bounds = {
        name: Bound(
            Price(*price),
            data.draw(st.integers(1, 200)),
            8,
            gpu_seconds=data.draw(st.floats(0, 50)),
            copies=data.draw(st.integers(1, 2)),
        )
        for name, price in zip(BACKENDS, prices, strict=True)
    }
    stages = data.draw(
        st.lists(
            st.builds(
                lambda backend, samples: Stage(backend, Never(), First(), max_samples=samples),
                st.sampled_from(BACKENDS),
                st.integers(1, 9),
            ),
            min_size=1,
            max_size=3,
        )
    )
    plan, asked = Plan("p", tuple(stages)), query(text, answers=answers)
    used: dict[str, Usage] = {}
    for index, one in enumerate(stages):
        bound = bounds[one.backend]
        for _ in range(bound.copies * data.draw(st.integers(0, samples_bound(asked, plan, index)))):
            tokens_in = data.draw(st.integers(0, prompt_tokens_bound(asked, one, 8)))
            used[one.backend] = used.get(one.backend, Usage()) + Usage(
                tokens_in=tokens_in,
                tokens_cached=data.draw(st.integers(0, tokens_in)),
                tokens_out=data.draw(st.integers(0, output_tokens_bound(asked, one, bound))),
                gpu_seconds=data.draw(st.floats(0, bound.gpu_seconds / bound.copies)),
            )
    spent = used_amount(used, {name: bound.price for name, bound in bounds.items()})
    assert spent.at_most(worst_amount(asked, plan, bounds)) == spent


def test_bytes_of_an_image_are_no_text_and_it_has_an_allowance_of_its_own():
    image = Message("user", (Part(PartKind.DATA, data=b"x" * 100_000, mime="image/png"),))
    bare = Message("user", ())
    more = prompt_tokens_bound(Query("r", (image,)), stage(), 8) - prompt_tokens_bound(
        Query("r", (bare,)), stage(), 8
    )
    assert more == IMAGE_TOKENS


def test_names_calls_and_reasoning_of_earlier_turns_are_part_of_the_prompt():
    call = ToolCall("id", "f", "x" * 50)
    told = Message("assistant", (), name="n" * 5, tool_calls=(call,), reasoning="r" * 30)
    more = prompt_tokens_bound(Query("r", (told,)), stage(), 8) - prompt_tokens_bound(
        Query("r", (Message("assistant"),)), stage(), 8
    )
    assert more == 5 + 8 + 2 + 1 + 50 + 30


def test_a_prompt_takes_no_more_than_the_context_that_there_is():
    short = Bound(Price(1.0), 10, 8, context_tokens=100)
    plan = Plan("p", (stage(),))
    assert worst_amount(query("x" * 5000), plan, {"small": short}).micros == 100


@pytest.mark.parametrize(
    ("rule", "calls"),
    [
        (Never(), 1),
        (TokenCap(100), 2),  # and what ends it
        (Converged(), 3),  # and its looks, one after the other while it grows
        (SelfEval(), 2),  # and the question behind it
        (AnyOf((Converged(), SelfEval())), 4),
    ],
)
def test_gpu_time_of_looks_and_questions_is_reserved_as_well(rule, calls):
    bound = Bound(Price(per_gpu_second=100.0), 64, 8, gpu_seconds=30.0)
    plan = Plan("p", (Stage("small", rule, First(), max_samples=2),))
    reserved = worst_amount(query(), plan, {"small": bound})
    assert (reserved.gpu_micros, reserved.micros) == (2 * calls * 30_000_000, 2 * calls * 3000)


BOUND = Bound(
    Price(per_token_in=1.0, per_token_cached=3.0, per_token_out=10.0), 64, 8
)  # cached tokens are dearest
PROMPT = 5 + 2 * 8  # "hello", and a template for its message and for a system message


@pytest.mark.parametrize(
    ("bound", "rule", "tokens_in", "tokens_out"),
    [
        (BOUND, Never(), PROMPT, 64),
        # two servers may be asked
        (replace(BOUND, copies=2), Never(), 2 * PROMPT, 2 * 64),
        # three calls, each of which reads all and asks; tokens that are written twice, a last one of each call, drafts
        (replace(BOUND, calls=3, dropped_tokens=40), Never(), 3 * (PROMPT + 64 + 64), 2 * 64 + 3 + 40),
        # a trace that is cut is asked for its answer: read once more with the words that ask
        (BOUND, TokenCap(), PROMPT + (PROMPT + 64 + 64), 64 + 20),
    ],
)
def test_one_sample_worked_out_by_hand(bound, rule, tokens_in, tokens_out):
    plan = Plan("p", (Stage("small", rule, First()),))
    found = worst_amount(query(), plan, {"small": bound})
    assert (found.tokens, found.micros) == (tokens_in + tokens_out, 3 * tokens_in + 10 * tokens_out)


def test_questions_of_a_selection_worked_out_by_hand():
    asks = Asks("small", calls=2, prompt_bytes=100, max_tokens=4, reads_query=True)
    bound = replace(BOUND, copies=2)
    micros, tokens, _ = worst_asking(query_size(query()), Plan("p", (stage(),)), asks, {"small": bound})
    one = 100 + 3 * 8 + PROMPT
    assert (tokens, micros) == (2 * 2 * (one + 4), 2 * 2 * (3 * one + 10 * 4))
