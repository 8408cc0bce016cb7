"""The value of the next sample: exact on small stages, calibrated, and worth more than the rules it competes with."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from functools import cache

import numpy as np
import pytest

from predictors.observation import Message, Observation, Part, Query, Sample, Tally
from router.domain.verdict import ENOUGH, ESCALATE, MORE, Verdict
from router.errors import ConfigError
from router.stopping.beta import Beta
from router.stopping.value_of_next import MOST, ValueOfNext, in_proportion
from router.stopping.vote_replay import stops
from router.stopping.vote_states import vote_states
from router.stopping.vote_value import VoteModel, vote_values
from router.stopping.window import Window

QUERY = Query(request_id="r", messages=(Message("user", (Part(text="?"),)),))
A, B, C, D = Fraction(1, 2), Fraction(1, 2), Fraction(1), Fraction(1, 4)  # exact in binary too


def rising(start: Fraction, times: int) -> Fraction:
    product = Fraction(1)
    for step in range(times):
        product *= start + step
    return product


def partition_chance(parts: tuple[int, ...]) -> Fraction:
    """Pitman and Yor's EPPF: the chance that wrong answers fall into just these groups."""
    chance = Fraction(1)
    for group, votes in enumerate(parts):
        chance *= (C + group * D if group else 1) * rising(1 - D, votes - 1)
    return chance / rising(C + 1, sum(parts) - 1) if parts else chance


def joint(parts: tuple[int, ...], right: int | None) -> Fraction:
    """The chance of these votes and that the answer at place `right` is the right one (None: none of them)."""
    votes = 0 if right is None else parts[right]
    wrong = parts if right is None else parts[:right] + parts[right + 1 :]
    beta = rising(A, votes) * rising(B, sum(wrong)) / rising(A + B, sum(parts))
    return beta * partition_chance(wrong)


@cache
def best(parts: tuple[int, ...], most: int, cost: Fraction) -> tuple[Fraction, Fraction]:
    """(value of these votes, P(leader right)) by going through every further sample; no algebra shared with the rule."""
    hypotheses = [*range(len(parts)), None]
    total = sum((joint(parts, right) for right in hypotheses), Fraction(0))
    leader = joint(parts, 0) / total
    if sum(parts) == most:
        return leader, leader
    going_on: Fraction = -cost
    for own in range(len(parts) + 1):
        after = (*parts, 1) if own == len(parts) else (*parts[:own], parts[own] + 1, *parts[own + 1 :])
        # a new answer may be a wrong one or, if none of those seen was, the right one
        ways = [*range(len(after)), None] if own == len(parts) else hypotheses
        chance = sum((joint(after, right) for right in ways), Fraction(0)) / total
        going_on += chance * best(tuple(sorted(after, reverse=True)), most, cost)[0]
    return max(leader, going_on), leader


def test_values_are_those_of_going_through_every_course():
    cost = Fraction(1, 64)
    model = VoteModel(float(A), float(B), float(C), float(D))
    values = vote_values(model, 6, float(cost))
    seen = 0
    for counts, others, leader_right, gain in zip(
        values.states.counts, values.states.others, values.own_right[:, 0], values.gain, strict=True
    ):
        parts = (*(int(votes) for votes in counts if votes), *[1] * int(others))
        value, leader = best(parts, 6, cost)
        assert leader_right == pytest.approx(float(leader), abs=1e-6)
        if sum(parts) < 6:
            assert max(0.0, gain) == pytest.approx(float(value - leader), abs=1e-6)
            seen += gain > 0
    assert seen >= 5


def test_states_are_numbered_once_and_lead_to_the_votes_they_say():
    states = vote_states(9)
    for number, (counts, others) in enumerate(
        zip(states.counts.tolist(), states.others.tolist(), strict=True)
    ):
        ranked = [votes for votes in counts if votes] + [1] * others
        assert states.number(ranked) == number
        if sum(ranked) == 9:
            assert set(states.after[number]) == {-1}
            continue
        for own in range(min(3, len(ranked))):
            more = sorted([*ranked[:own], ranked[own] + 1, *ranked[own + 1 :]], reverse=True)
            assert states.after[number][own] == states.number(more)
        assert states.after[number][4] == states.number([*ranked, 1])
        if others:
            risen = sorted([*ranked[:-1], 2], reverse=True)
            where = states.number(risen) if counts[2] == 1 else states.number([*ranked, 1])
            assert states.after[number][3] == where


def simulated(seed: int, runs: int, samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Runs from the model itself: answer 0 is right, p ~ Beta(1.5, .6), wrong answers Pitman-Yor(2, .3)."""
    rng = np.random.default_rng(seed)
    classes = np.zeros((runs, samples), int)
    for run in range(runs):
        p = rng.beta(1.5, 0.6)
        groups: list[int] = []
        for at in range(samples):
            if rng.random() < p:
                continue
            weights = np.array([votes - 0.3 for votes in groups] + [2 + 0.3 * len(groups)])
            group = rng.choice(len(weights), p=weights / weights.sum())
            groups += [0] if group == len(groups) else []
            groups[group] += 1
            classes[run, at] = group + 1
    return classes, classes == 0


TRUE = ValueOfNext(right=1.5 / 2.1, alike=1 / 3.1, concentration=2.0, discount=0.3)


def first_majority_right(classes: np.ndarray, drawn: np.ndarray) -> float:
    """Of equals the answer that came first, as the selector has it."""
    right = 0
    for run, k in zip(classes.tolist(), drawn, strict=True):
        seen = run[:k]
        right += max(dict.fromkeys(seen), key=seen.count) == 0
    return right / len(classes)


@pytest.mark.parametrize("cost", [0.006, 0.02])
def test_no_other_rule_is_worth_more_where_its_model_holds(cost):
    classes, _ = simulated(1, 1500, 10)

    def worth(drawn: np.ndarray) -> float:
        return float(first_majority_right(classes, drawn) - cost * drawn.mean())

    own = worth(stops(replace(TRUE, cost=cost), classes))
    rivals = [worth(np.full(len(classes), k)) for k in range(1, 11)]
    rivals += [worth(stops(Beta(threshold), classes)) for threshold in (0.55, 0.7, 0.8, 0.88, 0.95, 0.99)]
    rivals += [worth(Window(size).stops(classes)) for size in (2, 3, 4, 5)]
    assert own > max(rivals) - 0.004  # a third of the sd of a difference
    assert own > np.median(rivals) + 0.01


def test_the_leader_is_right_as_often_as_it_says():
    classes, _ = simulated(2, 3000, 6)
    stated: list[float] = []
    was_right: list[bool] = []
    for run in classes.tolist():
        counts = [run.count(one) for one in dict.fromkeys(run)]
        stated.append(TRUE.outlook(counts, 4)[1])
        was_right.append(max(dict.fromkeys(run), key=run.count) == 0)
    said, right = np.array(stated), np.array(was_right)
    for low, high in ((0.0, 0.5), (0.5, 0.8), (0.8, 0.95), (0.95, 1.0)):
        inside = (said >= low) & (said < high)
        assert inside.sum() > 100
        assert right[inside].mean() == pytest.approx(said[inside].mean(), abs=0.06)


def seen(*counts: int, drawn: int | None = None, most: int = 10) -> Observation:
    """Votes, the latest sample for the leader."""
    drawn = sum(counts) if drawn is None else drawn
    samples = tuple(Sample(f"0.{index}", "small", answer_class=0) for index in range(drawn))
    return Observation(QUERY, samples, tally=Tally(counts, tuple(map(str, counts)), drawn), max_samples=most)


def test_a_hand_worked_course_of_twelve_looks():
    """a = b = 1/2, c = 1, d = 1/4, six samples at 1/64 each; P(leader right) and the gain from `best`, by fractions."""
    rule = ValueOfNext(cost=1 / 64, right=0.5, alike=0.5, concentration=1.0, discount=0.25)
    looks: list[tuple[tuple[int, ...], Verdict]] = [
        ((1,), MORE),  # right .500, going on adds .04: a second sample tells
        ((1, 1), MORE),  # .258
        ((2,), ENOUGH),  # .727, and nothing that is likely to come turns it
        ((3,), ENOUGH),  # .821
        ((2, 1), ESCALATE),  # .464, going on adds .0137 at 1/256 a sample and nothing at 1/64
        ((2, 2), MORE),  # .343
        ((3, 1), ENOUGH),  # .589
        ((3, 2), ESCALATE),  # .463: a sixth sample cannot turn it
        ((1, 1, 1), MORE),  # .182
        ((2, 1, 1), ESCALATE),  # .342
        ((2, 2, 1), MORE),  # .276: the sixth sample breaks the tie
        ((4,), ENOUGH),  # .869
    ]
    for counts, verdict in looks:
        value, leader = best(counts, 6, Fraction(1, 64))
        by_hand = MORE if value > leader else ENOUGH if leader >= Fraction(1, 2) else ESCALATE
        assert (counts, rule.verdict(seen(*counts, most=6), {})) == (counts, by_hand)
        assert (counts, by_hand) == (counts, verdict)


def test_the_dearer_a_sample_the_fewer_are_drawn():
    classes, _ = simulated(3, 300, 10)
    drawn = [stops(replace(TRUE, cost=cost), classes).mean() for cost in (0.001, 0.005, 0.02, 0.1)]
    assert drawn == sorted(drawn, reverse=True)
    assert drawn[0] > drawn[-1] + 2


def test_a_query_that_is_surely_right_needs_one_sample_and_an_uncertain_one_more():
    rule = ValueOfNext(cost=0.03)
    sure = {"p_correct/small": 0.97, "p_two_correct/small": 0.95}
    unsure = {"p_correct/small": 0.5, "p_two_correct/small": 0.35}
    assert rule.verdict(seen(1), sure) == ENOUGH
    assert rule.verdict(seen(1), unsure) == MORE


def test_the_price_and_the_cost_of_a_sample_count():
    unsure = {"p_correct/small": 0.5, "p_two_correct/small": 0.35, "sample_cost/small": 100.0}
    assert ValueOfNext().verdict(seen(1), unsure | {"price": 1.0}) == MORE
    assert ValueOfNext().verdict(seen(1), unsure | {"price": 2000.0}) != MORE  # .2 quality per sample


def test_where_no_cost_is_said_few_samples_must_add_more_each_than_many():
    few, many = ValueOfNext(cost=0.0055), ValueOfNext(cost=0.0033)
    for votes in ((1,), (2, 1), (3, 1), (2, 2, 1), (5, 1)):
        for most, same in ((8, few), (10, few), (11, many), (40, many)):
            assert ValueOfNext().outlook(votes, most - sum(votes)) == same.outlook(votes, most - sum(votes))
    assert few.outlook((3, 1), 6)[0] < many.outlook((3, 1), 6)[0]


def test_a_confident_sample_ends_it_and_a_doubtful_one_does_not():
    known = {"p_correct/small": 0.6, "p_two_correct/small": 0.45}
    rule = ValueOfNext(cost=0.006, trust=0.5)
    assert rule.verdict(seen(2), known | {"sample_confidence/0.1": 0.99}) == ENOUGH
    assert rule.verdict(seen(2), known | {"sample_confidence/0.1": 0.6}) == MORE
    assert rule.outlook((2,), 8, confidence=0.99, own=2)[1] > rule.outlook((2,), 8)[1]


def test_confidence_without_a_prediction_is_not_believed():
    assert ValueOfNext().verdict(seen(2), {"sample_confidence/0.1": 1.0}) == ValueOfNext().verdict(
        seen(2), {}
    )


def test_what_cannot_change_is_not_drawn():
    """One sample left and two votes ahead."""
    assert ValueOfNext(cost=1e-6).verdict(seen(3, 1, most=5), {}) == ENOUGH


def test_nothing_left_or_no_vote_is_for_the_stage_to_say():
    assert ValueOfNext().verdict(seen(3, most=3), {}) == MORE
    assert ValueOfNext().verdict(seen(drawn=2), {}) == MORE


@pytest.mark.parametrize("votes", [(60, 30), (400,), (1,) * 300, (39, 1), (41, 40), (2,) * 45])
def test_more_votes_than_are_told_apart_are_looked_at_in_proportion(votes):
    fewer, most, cost = in_proportion(votes, 500 - sum(votes), 0.01)
    assert 1 <= sum(fewer) < most == MOST
    assert cost == pytest.approx(0.01 * 500 / MOST)
    assert ValueOfNext().verdict(seen(*votes, most=500), {}) in (MORE, ENOUGH, ESCALATE)


@pytest.mark.parametrize("votes", [(500,), (250, 250), (499, 1), (300, 150, 50), (1,) * 500])
def test_where_none_is_left_no_answer_with_a_large_share_is_left_out(votes):
    fewer, most, _ = in_proportion(votes, 0, 0.01)
    assert sum(fewer) <= most == MOST
    assert fewer[:2] == [max(1, of * MOST // 500) for of in votes[:2]]


def test_a_landslide_of_many_votes_is_enough():
    assert ValueOfNext().verdict(seen(300, 20, most=1000), {}) == ENOUGH


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"cost": -0.1}, "cost"),
        ({"keep": 0.4}, "keep"),
        ({"trust": 2.0}, "trust"),
        ({"right": 1.0}, "right"),
        ({"alike": 0.0}, "alike"),
        ({"concentration": 0.0}, "concentration"),
        ({"discount": 1.0}, "discount"),
    ],
)
def test_value_of_next_refuses_what_makes_no_sense(options, word):
    with pytest.raises(ConfigError, match=f"value_of_next: {word}"):
        ValueOfNext(**options)
