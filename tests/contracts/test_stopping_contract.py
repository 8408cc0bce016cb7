"""Every stopping rule in the table: what all of them owe the allocator."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields, is_dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from predictors.observation import Message, Observation, Part, Query, Sample, Tally
from router.domain.plan import canonical
from router.domain.verdict import Action, Verdict
from router.plugins import resolve
from router.stopping import STOPPING_RULES, StoppingRule

QUERY = Query(request_id="r", messages=(Message("user", (Part(text="1 + 1?"),)),))


@pytest.fixture(params=sorted(STOPPING_RULES), scope="module")
def rule(request):
    return resolve("stopping rule", STOPPING_RULES, request.param)()


def seen(*answers: str | None, growing: bool = False, max_samples: int = 10_000) -> Observation:
    """An observation of finished samples with these answers; None: without one."""
    classes = list(dict.fromkeys(answer for answer in answers if answer is not None))
    samples = tuple(
        Sample(
            sample_id=f"0.{index}",
            backend="small",
            text=f"It is {answer}",
            index=index,
            tokens_out=4,
            answer=answer,
            answer_class=None if answer is None else classes.index(answer),
        )
        for index, answer in enumerate(answers)
    )
    if growing:
        samples += (Sample(sample_id="0.g", backend="small", text="It", finished=False, prefix_tokens=1),)
    counts = tuple(sum(answer == one for answer in answers) for one in classes)
    return Observation(
        QUERY, samples, tally=Tally(counts, tuple(classes), len(answers)), max_samples=max_samples
    )


def test_it_keeps_the_contract(rule):
    assert isinstance(rule, StoppingRule)
    assert isinstance(rule.reads_content, bool)


def test_it_is_a_frozen_dataclass_with_defaults(rule):
    assert is_dataclass(rule)
    assert replace(rule) == rule  # type: ignore[type-var]  # an instance, not a class
    for item in fields(rule):
        with pytest.raises(FrozenInstanceError):
            setattr(rule, item.name, None)


def test_it_says_when_it_fails(rule):
    assert "fail" in (type(rule).__doc__ or "").lower() or "weakest" in (type(rule).__doc__ or "").lower()


def test_its_options_can_be_part_of_a_digest(rule):
    assert canonical(rule)[""] == type(rule).__name__


@pytest.mark.parametrize("answers", [("a",), ("a", "b"), (None,), (None, None, "a"), ("",), ("a",) * 1000])
def test_it_always_gives_a_verdict_and_the_same_one_twice(rule, answers):
    verdict = rule.verdict(seen(*answers), {})
    assert isinstance(verdict, Verdict)
    assert rule.verdict(seen(*answers), {}) == verdict


@given(answers=st.lists(st.sampled_from(["a", "b", "c", None]), min_size=1, max_size=30))
def test_it_never_raises_without_signals(rule, answers):
    rule.verdict(seen(*answers), {})


def test_disagreement_alone_is_never_enough(rule):
    """A window in which no two answers are equal: the failure of a peer's early exit that stopped on it."""
    few = tuple(f"answer {index}" for index in range(12))
    assert rule.verdict(seen(*few), {}).action is not Action.ENOUGH


def test_no_answer_at_all_is_never_enough(rule):
    assert rule.verdict(seen(None, None, None), {}).action is not Action.ENOUGH


def test_a_growing_sample_is_no_vote(rule):
    settled, with_growing = seen("a", "a"), seen("a", "a", growing=True)
    if rule.verdict(settled, {}).action is Action.MORE:
        assert rule.verdict(with_growing, {}).action is Action.MORE


def test_a_rule_that_lets_text_stream_does_not_look_at_answers(rule):
    if rule.reads_content:
        pytest.skip("it reads content, and says so")
    for one, other in ((("a", "a", "a"), ("a", "b", "c")), (("a",), (None,))):
        assert rule.verdict(seen(*one), {}) == rule.verdict(seen(*other), {})
