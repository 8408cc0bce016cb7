"""Votes with evidence: those of `vote_value` where there is none, calibrated, the same on arrays, and what they decide."""

from __future__ import annotations

from collections import Counter
from math import exp

import numpy as np
import pytest

from predictors.evidence import evidence, hefts_of
from predictors.observation import Message, Observation, Part, Query, Sample, Tally
from router.domain.verdict import ENOUGH, ESCALATE, MORE, Verdict
from router.errors import ConfigError
from router.selectors.weighted import Weighted
from router.stopping.value_of_next import ValueOfNext
from router.stopping.vote_value import VoteModel, vote_values
from router.stopping.weighed_votes import standing
from training.sampling.weighed_runs import Votes, weighed_runs

QUERY = Query(request_id="r", messages=(Message("user", (Part(text="?"),)),))
MODEL = VoteModel(0.9, 1.1, 1.5, 0.4)


@pytest.mark.parametrize("counts", [(1,), (3, 1), (2, 2), (5, 1, 1), (1, 4, 2), (1, 1, 1, 1)])
def test_without_evidence_the_leader_is_as_probable_as_by_votes_alone(counts: tuple[int, ...]) -> None:
    values = vote_values(MODEL, 10, 0.01)
    expected = values.own_right[values.states.number(sorted(counts, reverse=True)), 0]
    found = standing(counts, counts, MODEL)
    assert found.right == pytest.approx(float(expected), abs=1e-6)
    assert counts[found.leader] == max(counts)


def drawn(rng: np.random.Generator, samples: int, spread: float) -> tuple[list[int], dict[int, float]]:
    """Answers (0 is right) of one query that `MODEL` describes, and evidence that samples of one answer share."""
    a, b, c, d = MODEL
    rate, wrong, answers = rng.beta(a, b), Counter[int](), list[int]()
    for _ in range(samples):
        if rng.random() < rate:
            answers.append(0)
            continue
        total = sum(wrong.values())
        new = rng.random() * (c + total) < c + len(wrong) * d
        weights = np.array([votes - d for votes in wrong.values()])
        kind = len(wrong) + 1 if new else int(rng.choice(list(wrong), p=weights / weights.sum()))
        wrong[kind] += 1
        answers.append(kind)
    middle = spread**2 / 2
    return answers, {kind: rng.normal(middle if kind == 0 else -middle, spread) for kind in set(answers)}


def test_what_it_says_comes_true_where_the_model_does() -> None:
    """Truth: likelihood ratios of a known spread; the next sample is drawn, too."""
    rng = np.random.default_rng(0)
    said, came = [], []
    for _ in range(6000):
        answers, told = drawn(rng, 6, 1.5)
        seen, after = answers[:5], answers[5]
        kinds = list(dict.fromkeys(seen))
        counts = [seen.count(kind) for kind in kinds]
        hefts = [count * exp(told[kind]) for count, kind in zip(counts, kinds, strict=True)]
        found = standing(counts, hefts, MODEL)
        said.append((found.right, found.other))
        came.append((kinds[found.leader] == 0, after == 0 and kinds[found.leader] != 0))
    says, comes = np.array(said), np.array(came, float)
    for column in range(2):
        order = np.argsort(says[:, column])
        for part in np.array_split(order, 4):
            assert says[part, column].mean() == pytest.approx(comes[part, column].mean(), abs=0.035)
    by_votes = np.mean([standing([3, 2], [3, 2], MODEL).right])
    assert by_votes < says[:, 0].mean()  # evidence tells more than votes do


def runs(seed: int, queries: int = 30, samples: int = 9) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    classes = rng.choice([-1, 0, 1, 2, 3], (queries, samples), p=[0.15, 0.4, 0.2, 0.15, 0.1])
    for run in classes:  # numbered as they come
        places = {kind: at for at, kind in enumerate(dict.fromkeys(run[run >= 0].tolist()))}
        run[:] = [places.get(kind, -1) for kind in run.tolist()]
    right = rng.uniform(0.05, 0.9, queries)
    return classes, rng.normal(0, 1.5, classes.shape), right


def seen_after(
    classes: np.ndarray, said: np.ndarray, at: int, right: float
) -> tuple[Observation, dict[str, float]]:
    some = [
        Sample(
            f"0.{turn}",
            "small",
            answer=None if kind < 0 else f"a{kind}",
            answer_class=None if kind < 0 else kind,
        )
        for turn, kind in enumerate(classes[: at + 1].tolist())
    ]
    votes = Counter(kind for kind in classes[: at + 1].tolist() if kind >= 0)
    tally = Tally(
        tuple(votes[kind] for kind in sorted(votes)), tuple(f"a{kind}" for kind in sorted(votes)), at + 1
    )
    signals = {f"evidence/0.{turn}": value for turn, value in enumerate(said[: at + 1].tolist())}
    signals |= {
        "p_correct/small": right,
        "p_two_correct/small": right * right + 0.4 * (right - right * right),
    }
    return Observation(QUERY, tuple(some), 0, tally, len(classes)), signals


def test_arrays_say_what_the_rule_and_the_selector_do() -> None:
    rule, selector = ValueOfNext(), Weighted()
    classes, said, right = runs(1)
    models = np.array([rule.model(p, 0.4)[:2] for p in right])
    found = weighed_runs(Votes(classes, said, models))
    checked = 0
    for query in range(len(classes)):
        for at in range(classes.shape[1] - 1):
            seen, signals = seen_after(classes[query], said[query], at, float(right[query]))
            more = rule.verdict(seen, signals) is MORE
            if not seen.tally.counts:
                assert more and np.isnan(found.other[query, at])
                continue
            checked += 1
            votes = sum(seen.tally.counts)
            assert found.worth[query, at] == pytest.approx(rule.telling * found.other[query, at] / votes)
            assert more == bool(found.worth[query, at] > rule.cost_weighed)
            chosen = selector.select(seen.samples, seen.tally, signals).samples[0]
            assert chosen.answer_class == classes[query, found.speaker[query, at]]
            hefts = hefts_of(seen.samples, len(seen.tally.counts), signals)
            assert hefts is not None
            now = standing(seen.tally.counts, hefts, rule.model(float(right[query]), 0.4))
            assert found.each[query, at, now.leader] == pytest.approx(now.right)
    assert checked > 150


def verdict(said: list[float], classes: list[int], right: float, rule: ValueOfNext) -> Verdict:
    seen, signals = seen_after(np.array([*classes, -1]), np.array([*said, 0.0]), len(classes) - 1, right)
    return rule.verdict(seen, signals)


def test_a_sample_that_speaks_for_itself_is_enough_and_one_that_does_not_is_not() -> None:
    rule = ValueOfNext()
    assert verdict([4.0], [0], 0.5, rule) is ENOUGH
    assert verdict([-1.0], [0], 0.5, rule) is MORE
    assert verdict([-3.0, -3.0, -3.0, -3.0], [0, 1, 2, 3], 0.03, rule) is ESCALATE
    # two that agree and say nothing for themselves lose to one that does
    assert verdict([-2.0, -2.0, 4.0], [0, 0, 1], 0.4, rule) is ENOUGH


def test_a_dearer_sample_is_drawn_less() -> None:
    seen, signals = seen_after(np.array([0, 1, -1]), np.array([0.5, 0.0, 0.0]), 1, 0.4)
    assert ValueOfNext().verdict(seen, signals) is MORE
    dear = signals | {"price": 1000.0, "sample_cost/small": 1000.0}
    assert ValueOfNext().verdict(seen, dear) is not MORE
    assert ValueOfNext(cost=0.5).verdict(seen, signals) is not MORE
    fixed = ValueOfNext(fixed_cost=0.01)
    assert fixed.verdict(seen, signals) is fixed.verdict(seen, dear) is MORE
    assert ValueOfNext(fixed_cost=0.5).verdict(seen, signals) is not MORE


def test_the_more_votes_there_are_the_less_one_more_is_worth() -> None:
    rule = ValueOfNext()
    gain, right = rule.weighed([1], [1.0], 0.4, 0.4, 0.0)
    assert gain == pytest.approx(rule.telling * standing([1], [1.0], rule.model(0.4, 0.4)).other)
    assert right == standing([1], [1.0], rule.model(0.4, 0.4)).right
    four = standing([2, 2], [2.0, 2.0], rule.model(0.4, 0.4))
    assert rule.weighed([2, 2], [2.0, 2.0], 0.4, 0.4, 0.0)[0] == pytest.approx(rule.telling * four.other / 4)


def test_votes_count_what_samples_say_for_themselves() -> None:
    """By hand: a a b with evidence .1, .2, 1.5 are 2.33 against 4.48; a third a of .9 makes 4.79."""
    samples = [
        Sample(f"0.{at}", "small", answer=kind, answer_class="ab".index(kind))
        for at, kind in enumerate("aaba")
    ]
    signals = {"evidence/0.0": 0.1, "evidence/0.1": 0.2, "evidence/0.2": 1.5, "evidence/0.3": 0.9}
    first = Weighted().select(samples[:3], Tally((2, 1), ("a", "b"), 3), signals).samples[0]
    then = Weighted().select(samples, Tally((3, 1), ("a", "b"), 4), signals).samples[0]
    assert (first.answer, then.answer) == ("b", "a")
    even = dict.fromkeys(signals, -0.7)
    assert Weighted().select(samples[1:3], Tally((1, 1), ("a", "b"), 2), even).samples[0].answer == "a"
    assert hefts_of(samples, 2, {}) is None
    assert hefts_of(samples, 2, {"evidence/0.2": 0.0}) == [3.0, 1.0]  # of which nothing is known counts 1


def test_evidence_is_what_a_judgement_adds_to_what_was_expected() -> None:
    assert evidence(0.9, 0.5, 1.0) == pytest.approx(np.log(9))
    assert evidence(0.2, 0.2, 1.0) == 0 == evidence(0.9, 0.5, 0.0)
    assert evidence(1.0, 0.5, 1.0) == pytest.approx(np.log(999))  # never all there is


@pytest.mark.parametrize(
    "wrong",
    [{"telling": 0.0}, {"telling": 1.1}, {"cost_weighed": -0.1}, {"cost_weighed": 1.0}, {"fixed_cost": 1.0}],
)
def test_impossible_numbers_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        ValueOfNext(**wrong)
