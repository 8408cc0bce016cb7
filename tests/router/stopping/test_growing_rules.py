"""Rules over growing samples, on looks that are made up."""

from __future__ import annotations

from typing import Any

import pytest

from predictors.looping import looping
from predictors.observation import Message, Observation, Part, Query, Sample
from router.domain.growth import Growth, growth_of, together
from router.domain.verdict import Action, Verdict
from router.errors import ConfigError
from router.stopping.agreement import Agreement
from router.stopping.any_of import AnyOf
from router.stopping.converged import Converged
from router.stopping.deadline import Deadline
from router.stopping.looping import Looping
from router.stopping.not_before import NotBefore
from router.stopping.safe_exit import SafeExit
from router.stopping.token_cap import TokenCap
from router.stopping.utility import Utility

QUERY = Query(request_id="r", messages=(Message("user", (Part(text="1 + 1?"),)),))


def look(number: int | None, tokens: int, name: str = "0.0", *, finished: bool = False) -> Sample:
    answer = None if number is None else str(number)
    prefix = None if finished else tokens
    return Sample(
        name,
        "small",
        finished=finished,
        tokens_out=tokens,
        prefix_tokens=prefix,
        answer=answer,
        answer_class=number,
    )


def trace(*classes: int | None, **more: Any) -> Observation:
    looks = tuple(look(number, 64 * place) for place, number in enumerate(classes, 1))
    return Observation(QUERY, looks[-1:], looks=looks, **more)


def told(name: str = "0.0", *, right: float, gain: float, left: float) -> dict[str, float]:
    return {f"right_now/{name}": right, f"gain_left/{name}": gain, f"tokens_left/{name}": left}


@pytest.mark.parametrize(
    ("classes", "action"),
    [
        ((0, 0), Action.MORE),
        ((0, 0, 0), Action.ENOUGH),
        ((1, 0, 0, 0), Action.ENOUGH),
        ((0, 0, 1), Action.MORE),
        ((0, 0, None), Action.MORE),
        ((0, None, 0, 0), Action.MORE),
    ],
)
def test_a_trace_has_converged_after_so_many_equal_answers_in_a_row(classes, action):
    assert Converged(equal=3).verdict(trace(*classes), {}).action is action


def test_a_jump_asks_for_a_run_longer_than_the_earlier_ones():
    rule = Converged(equal=2, jump=0.0)
    assert rule.verdict(trace(0, 0, 0, 1, 1, 1), {}).action is Action.MORE
    assert rule.verdict(trace(0, 0, 0, 1, 1, 1, 1), {}).action is Action.ENOUGH
    assert rule.verdict(trace(0, 1, 1), {}).action is Action.ENOUGH


def test_a_trace_converges_by_its_own_looks_alone():
    looks = (look(0, 64, "0.1"), look(0, 64), look(0, 128, "0.1"), look(0, 128))
    seen = Observation(QUERY, (looks[2], looks[3]), looks=looks)
    assert Converged(equal=3).verdict(seen, {}).action is Action.MORE


def test_stopping_waits_until_it_is_safe_and_there_is_an_answer():
    rule = SafeExit(threshold=0.9)
    assert rule.verdict(trace(0), {"safe_to_stop/0.0": 0.89}).action is Action.MORE
    assert rule.verdict(trace(0), {"safe_to_stop/0.0": 0.9}).action is Action.ENOUGH
    assert rule.verdict(trace(None), {"safe_to_stop/0.0": 0.99}).action is Action.MORE


def test_a_risk_that_no_threshold_keeps_never_stops():
    assert SafeExit(risk=0.05).verdict(trace(0), {"safe_to_stop/0.0": 1.0}).action is Action.MORE
    assert (
        SafeExit(risk=0.05).resolved(0.97).verdict(trace(0), {"safe_to_stop/0.0": 0.98}).action
        is Action.ENOUGH
    )


def test_one_trace_ends_when_its_gain_is_not_worth_its_tokens():
    rule, known = Utility(price=0.1), {"trace_tokens/small": 200.0}
    dear = rule.verdict(trace(0), known | told(right=0.5, gain=0.04, left=100.0))
    cheap = rule.verdict(trace(0), known | told(right=0.5, gain=0.06, left=100.0))
    assert (dear, cheap.action) == (Verdict(Action.ENOUGH, close=("0.0",)), Action.MORE)


def test_the_price_of_the_service_counts_where_it_is_higher():
    rule, known = Utility(price=0.01), {"trace_tokens/small": 100.0, "sample_cost/small": 1e6}
    signals = known | told(right=0.5, gain=0.1, left=100.0)
    assert rule.verdict(trace(0), signals).action is Action.MORE
    assert rule.verdict(trace(0), signals | {"price": 0.2}).action is Action.ENOUGH


def test_a_trace_that_adds_less_than_it_costs_is_pruned_and_the_others_go_on():
    looks = (look(0, 64, "0.1"), look(1, 64))
    signals = told("0.0", right=0.2, gain=0.6, left=50.0) | told("0.1", right=0.1, gain=0.0, left=400.0)
    verdict = Utility(price=0.2).verdict(Observation(QUERY, looks, looks=looks, max_samples=2), signals)
    assert verdict == Verdict(Action.PRUNE, ("0.1",))


def test_where_none_is_worth_it_the_likeliest_is_closed():
    looks = (look(0, 64, "0.1"), look(1, 64))
    signals = told("0.0", right=0.2, gain=0.0, left=50.0) | told("0.1", right=0.7, gain=0.0, left=50.0)
    verdict = Utility().verdict(Observation(QUERY, looks, looks=looks, max_samples=2), signals)
    assert verdict == Verdict(Action.ENOUGH, close=("0.1",))


def test_a_finished_sample_that_is_surer_ends_what_still_grows():
    looks = (look(0, 300, "0.1", finished=True), look(1, 64))
    signals = told("0.0", right=0.2, gain=0.0, left=50.0) | {"sample_confidence/0.1": 0.9}
    verdict = Utility().verdict(Observation(QUERY, looks, looks=looks[1:], max_samples=2), signals)
    assert verdict == Verdict(Action.ENOUGH, prune=("0.0",))


def test_the_reserve_before_the_deadline_ends_a_trace():
    rule = Deadline(reserve_s=2.0)
    assert rule.verdict(trace(None, time_left_s=2.5), {}).action is Action.MORE
    assert rule.verdict(trace(None, time_left_s=2.0), {}).action is Action.ENOUGH
    assert rule.verdict(trace(None), {}).action is Action.MORE
    assert Deadline(after_s=5.0).verdict(trace(None, elapsed_s=5.0), {}).action is Action.ENOUGH


def test_a_loop_is_given_up_or_ended():
    circling = {"looping/0.0": 2.0}
    assert Looping(alarm=1.5).verdict(trace(None), circling).action is Action.ESCALATE
    assert Looping(alarm=1.5, then="enough").verdict(trace(None), circling).action is Action.ENOUGH
    assert Looping(alarm=2.5).verdict(trace(None), circling).action is Action.MORE


def test_a_text_that_comes_back_to_the_same_words_raises_the_level():
    steps = (
        "First take 12 and 30 together. Next divide what you have by seven. So every child gets six apples. "
    )
    circles = "Wait, is the sum of these two really forty two? Let me count the apples once more. "
    assert looping(steps) == 0.0
    assert looping(steps + circles) == 0.0
    assert looping(steps + circles * 4) > 1.5
    assert looping("") == 0.0


def test_rules_together_look_as_early_and_as_often_as_any_of_them_wants():
    both = AnyOf((Converged(first=100, every=50), TokenCap(32), Agreement()))
    assert growth_of(both) == Growth(0, 32, answers=True)
    assert growth_of(AnyOf((Agreement(),))) is None
    assert growth_of(NotBefore(Looping(), 2)) == Looping().growth
    assert together([Looping(), Converged()]) == Growth(0, 64, answers=True, repeats=True)


def test_rules_that_wait_for_cues_look_at_those_of_all_of_them():
    waits, others = SafeExit(every=32, cues=("thus", "answer")), Converged(first=8, cues=("answer", "so,"))
    assert growth_of(waits) == Growth(0, 32, cues=("thus", "answer"))
    assert together([waits, others]) == Growth(0, 32, cues=("thus", "answer", "so,"))
    assert growth_of(NotBefore(Utility(cues=("so,",)), 2)) == Growth(0, 64, cues=("so,",))


def test_beside_a_rule_that_wants_every_look_none_waits():
    waits = SafeExit(cues=("thus",))
    for rules in ((waits, TokenCap(32)), (TokenCap(32), waits), (Looping(), waits, Converged(cues=("so,",)))):
        wanted = growth_of(AnyOf(rules))
        assert wanted is not None and wanted.cues == ()
    assert growth_of(AnyOf((waits, Agreement()))) == waits.growth  # it looks at nothing that grows


def test_the_worst_case_reserves_every_look_whatever_is_said():
    assert SafeExit(every=16, cues=("thus",)).growth.looks(300) == SafeExit(every=16).growth.looks(300)


def test_looks_are_counted_before_the_last_token():
    growth = Growth(first=10, every=20)
    places = [tokens for tokens in range(1, 71) if tokens in (10, 30, 50, 70)]
    assert growth.looks(70) == len([place for place in places if place < 70]) == 3
    assert Growth(10, 20).looks(10) == 0
    assert Growth().looks(1) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Converged(equal=0),
        lambda: Converged(cues=("thus", "")),
        lambda: SafeExit(cues=("",)),
        lambda: Utility(cues=("",)),
        lambda: Converged(jump=-1.0),
        lambda: SafeExit(threshold=1.5),
        lambda: SafeExit(risk=0.0),
        lambda: Utility(price=0.0),
        lambda: Deadline(reserve_s=-1.0),
        lambda: Looping(alarm=0.0),
    ],
)
def test_what_a_rule_cannot_be_is_refused(wrong):
    with pytest.raises(ConfigError):
        wrong()
