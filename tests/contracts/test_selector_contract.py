"""Every selector in the table: what all of them owe the allocator."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields, is_dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from predictors.observation import Sample, Tally
from router.plugins import resolve
from router.selectors import SELECTORS, Selector


@pytest.fixture(params=sorted(SELECTORS), scope="module")
def selector(request):
    return resolve("selector", SELECTORS, request.param)()


def drawn(*answers: str | None) -> tuple[list[Sample], Tally]:
    """Finished samples with these answers, and the tally of them."""
    classes = list(dict.fromkeys(answer for answer in answers if answer is not None))
    samples = [
        Sample(
            sample_id=f"0.{index}",
            backend="small",
            text=answer or "",
            index=index,
            answer=answer,
            answer_class=None if answer is None else classes.index(answer),
        )
        for index, answer in enumerate(answers)
    ]
    counts = tuple(answers.count(one) for one in classes)
    return samples, Tally(counts, tuple(classes), len(answers))


def test_it_is_a_frozen_dataclass_that_keeps_the_contract(selector):
    assert isinstance(selector, Selector)
    assert is_dataclass(selector)
    assert replace(selector) == selector
    for item in fields(selector):
        with pytest.raises(FrozenInstanceError):
            setattr(selector, item.name, None)


def test_it_says_when_it_fails(selector):
    assert "fail" in (type(selector).__doc__ or "").lower()


@given(answers=st.lists(st.sampled_from(["a", "b", None]), min_size=1, max_size=12))
def test_it_returns_distinct_samples_of_those_given_and_a_probability(selector, answers):
    samples, tally = drawn(*answers)
    selection = selector.select(samples, tally, {})
    assert selection.samples
    assert all(sample in samples for sample in selection.samples)
    assert len({sample.sample_id for sample in selection.samples}) == len(selection.samples)
    assert selection.confidence is None or 0.0 <= selection.confidence <= 1.0


def test_the_only_sample_is_the_answer(selector):
    samples, tally = drawn("a")
    assert selector.select(samples, tally, {}).samples[0] is samples[0]


def test_ties_go_to_the_earliest(selector):
    samples, tally = drawn("b", "a")
    assert selector.select(samples, tally, {}).samples[0].answer == "b"


def test_unanimous_samples_are_answered_with_their_answer(selector):
    samples, tally = drawn("a", "a", "a")
    assert selector.select(samples, tally, {}).samples[0].answer == "a"


def test_it_does_not_change_what_it_is_given(selector):
    samples, tally = drawn("a", "b", None, "b")
    before = list(samples)
    selector.select(samples, tally, {"sample_confidence/0.1": 0.9})
    assert samples == before


def test_samples_without_a_text_or_an_answer_are_answered_all_the_same(selector):
    for answers in (("", "", ""), ("", "a", ""), (None, None), (None, "a", None, "a")):
        samples, tally = drawn(*answers)
        assert selector.select(samples, tally, {}).samples[0] in samples


def test_all_different_answers_give_one_of_them(selector):
    samples, tally = drawn(*map(str, range(40)))
    chosen = selector.select(samples, tally, {})
    assert len(chosen.samples) == 40
    assert chosen.samples[0] is samples[0]


def test_the_order_of_arrival_decides_only_what_is_tied(selector):
    """The same samples from the other end: an answer that leads still leads."""
    samples, tally = drawn("a", "b", "a", "a", "c", "a")
    if type(selector).__name__ == "First":
        pytest.skip("it is all about the order")
    known = [replace(sample, confidence=0.5, mean_logprob=-0.5, tokens_out=8) for sample in samples]
    assert selector.select(known, tally, {}).samples[0].answer == "a"
    if type(selector).__name__ in {"MostConfident", "Surprisal", "PathProbability"}:
        return  # equally good samples, or one path for each text: the earliest of them
    assert selector.select(known[::-1], tally, {}).samples[0].answer == "a"


def test_cancelled_and_failed_samples_do_not_stop_it(selector):
    samples, tally = drawn("a", None, "a", None)
    odd = [
        replace(samples[0], finish_reason="length"),
        replace(samples[1], finish_reason="cancelled", text="", mean_logprob=float("-inf")),
        samples[2],
        replace(samples[3], finish_reason="cut", tokens_out=0),
    ]
    chosen = selector.select(odd, tally, {})
    assert {sample.sample_id for sample in chosen.samples} <= {sample.sample_id for sample in odd}
    assert chosen.samples[0].answer == "a"


@pytest.mark.timeout(20)  # what is quadratic in the samples or the text takes minutes
def test_a_thousand_samples_of_a_hundred_kilobytes_are_no_burden(selector):
    samples, tally = drawn(*("a", "b", "c", "a") * 250)
    words = "so then it follows that the sum of all is seven " * 2100
    long = [
        replace(sample, text=words + (sample.answer or ""), mean_logprob=-0.3, tokens_out=20_000)
        for sample in samples
    ]
    chosen = selector.select(long, tally, {})
    assert chosen.samples[0].answer == "a"
    assert chosen.confidence is None or 0 <= chosen.confidence <= 1
