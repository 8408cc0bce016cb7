"""Every stopping rule in the table: what all of them owe the allocator."""

from __future__ import annotations

import itertools
from dataclasses import FrozenInstanceError, fields, is_dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from predictors.observation import Message, Observation, Part, Query, Sample, Tally
from router.domain.plan import canonical
from router.domain.verdict import Action, Verdict
from router.plugins import resolve
from router.stopping import STOPPING_RULES, StoppingRule
from router.stopping.agreement import Agreement
from router.stopping.all_of import AllOf
from router.stopping.any_of import AnyOf
from router.stopping.hop import Hop
from router.stopping.learned_stop import LearnedStop
from router.stopping.not_before import NotBefore
from router.stopping.token_cap import TokenCap

SIGNALS = {
    "p_correct/small": 0.9,
    "p_two_correct/small": 0.85,
    "sample_confidence": 0.9,
    "sample_confidence/0.0": 0.9,
    "sample_confidence/0.1": 0.2,
    "price": 100.0,
    "sample_cost/small": 50.0,
    "self_eval/0.1": 0.9,
}
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
    if rule.verdict(seen(*few[:1]), {}).action is Action.ENOUGH:
        pytest.skip("one answer is enough for it, whatever it is")
    assert rule.verdict(seen(*few), {}).action is not Action.ENOUGH


def test_no_answer_at_all_is_never_enough(rule):
    assert rule.verdict(seen(None, None, None), {}).action is not Action.ENOUGH


def test_a_growing_sample_is_no_vote(rule):
    settled, with_growing = seen("a", "a"), seen("a", "a", growing=True)
    if rule.verdict(settled, {}).action is Action.MORE:
        assert rule.verdict(with_growing, {}).action is Action.MORE


@pytest.mark.parametrize(
    "answers",
    [
        ("a", "a", "b", "b"),
        ("",) * 5,
        ("a", "", "a", ""),
        ("a",) * 1000,
        tuple(map(str, range(1000))),
        (None,) * 1000,
    ],
    ids=["a tie", "empty answers", "some empty", "always the same", "all different", "never an answer"],
)
def test_odd_tallies_get_a_verdict(rule, answers):
    assert rule.verdict(seen(*answers, max_samples=1000), {}).action in Action


def test_samples_out_of_order_and_cut_ones_get_a_verdict(rule):
    """Late ones first, one that failed without a text, one that was cancelled, one of a stage before."""
    ordinary = seen("a", "b", "a", None, "a")
    odd = [
        replace(sample, stage=1, finish_reason="cancelled" if sample.answer is None else "stop")
        for sample in reversed(ordinary.samples)
    ]
    samples = (replace(odd[0], sample_id="before", stage=0), *odd)
    observation = replace(ordinary, samples=samples, stage=1)
    verdict = rule.verdict(observation, SIGNALS)
    assert verdict == rule.verdict(observation, SIGNALS)
    assert set(verdict.prune) <= {sample.sample_id for sample in odd}


def test_it_never_reads_the_texts(rule):
    """A thousand samples of 100 kB: the verdict is that on a thousand samples without a text."""
    answers = ("a", "b", "a") * 334
    short = seen(*answers)
    text = "x" * 100_000
    long = replace(short, samples=tuple(replace(sample, text=text) for sample in short.samples))
    assert rule.verdict(long, SIGNALS) == rule.verdict(short, SIGNALS)


def test_a_rule_that_lets_text_stream_does_not_look_at_answers(rule):
    if rule.reads_content:
        pytest.skip("it reads content, and says so")
    for one, other in ((("a", "a", "a"), ("a", "b", "c")), (("a",), (None,))):
        assert rule.verdict(seen(*one), {}) == rule.verdict(seen(*other), {})


def traced(*classes: int | None) -> Observation:
    """A growing sample after looks with these classes of tentative answers, 100 tokens apart; late in its time."""
    looks = tuple(
        Sample(
            "0.0", "small", finished=False, prefix_tokens=100 * place,
            answer=None if number is None else f"answer {number}", answer_class=number,
        )
        for place, number in enumerate(classes, 1)
    )  # fmt: skip
    return Observation(QUERY, looks[-1:], max_samples=1, looks=looks, time_left_s=len(classes) - 3.5)


UNSURE = {"sample_confidence": 0.6}
TRACES = ((0,), (0, 0), (0, 0, 0), (0, 1, 1, 1), (0, None, 0, 0), (None, None, None))
OF_TRACES = (
    {"looping/0.0": 2.0},
    {"safe_to_stop/0.0": 0.99},
    {"right_now/0.0": 0.9, "gain_left/0.0": -0.1, "tokens_left/0.0": 50.0, "trace_tokens/small": 100.0},
)
BUILT = {
    "any_of": lambda: AnyOf((Agreement(4), TokenCap(9))),
    "all_of": lambda: AllOf((Agreement(2), TokenCap(13))),
    "not_before": lambda: NotBefore(Agreement(2), 3),
    "token_cap": lambda: TokenCap(20),
    "hop": lambda: Hop(margin=0.5),
    # without weights it is `value_of_next`
    "learned_stop": lambda: LearnedStop((0.3, 0.0, -0.2, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)),
}
SEQUENCES = [
    *(sequence for length in range(1, 5) for sequence in itertools.product("abc", repeat=length)),
    *(("a",) * length for length in range(5, 14)),
    tuple("aaaabc"), tuple("aaaaaabc"), tuple("aaaaaabbaa"), tuple("abcdefghij"), tuple("aaaabaaaab"), tuple("aaaaaaaaaaab"), (None, "a", "a"),
]  # fmt: skip


def what_it_says(name: str) -> list[Verdict]:
    """Its verdicts on every sequence, without signals, with them, and beside three growing samples."""
    rule = BUILT.get(name, resolve("stopping rule", STOPPING_RULES, name))()
    growing = tuple(
        Sample(f"0.g{index}", "small", finished=False, prefix_tokens=500, mean_logprob=-0.1 * index)
        for index in range(3)
    )
    cases = [seen(*sequence, max_samples=14) for sequence in SEQUENCES]
    cases += [traced(*classes) for classes in TRACES]
    running = [replace(case, samples=growing, tally=Tally(), max_samples=4) for case in cases[:1]]
    return [
        rule.verdict(case, given)
        for case in (*cases, *running)
        for given in ({}, SIGNALS, UNSURE, *OF_TRACES)
    ]


@pytest.mark.parametrize("classes", TRACES)
def test_a_trace_without_an_answer_in_the_end_is_no_reason_to_call_it_settled(rule, classes):
    """Time, tokens and circles may end it; what was answered on the way may not where nothing was."""
    if classes[-1] is not None or not rule.reads_content:
        pytest.skip("it has an answer, or the rule does not look at answers")
    assert rule.verdict(traced(*classes), {}).action is not Action.ENOUGH


def test_any_two_rules_disagree_somewhere():
    said = {name: what_it_says(name) for name in STOPPING_RULES}
    equal = [(one, other) for one, other in itertools.combinations(said, 2) if said[one] == said[other]]
    assert equal == []
