"""The canary's test: right at every look, soon done where the difference is large, a small JSON object between looks."""

from __future__ import annotations

import json

import numpy as np
import pytest

from training.errors import TrainingError
from training.off_policy.canary import Advice, CanaryState, CanaryTest


def watched(test: CanaryTest, difference: float, rows: int, seed: int) -> tuple[Advice, int]:
    """The first advice that is no KEEP_GOING, looked for after every reward, and when it came."""
    rng = np.random.default_rng(seed)
    candidate = (rng.random(rows) < test.share).tolist()
    luck = rng.random(rows).tolist()
    seen = CanaryState()
    for place, (mine, drawn) in enumerate(zip(candidate, luck, strict=True)):
        seen = test.watch(seen, mine, float(drawn < 0.6 + (difference if mine else 0.0)))
        if test.advice(seen) is not Advice.KEEP_GOING:
            return test.advice(seen), place
    return Advice.KEEP_GOING, rows


def test_a_broken_candidate_is_rolled_back_early():
    found = [watched(CanaryTest(share=0.2), -0.3, 4000, seed) for seed in range(10)]
    assert {advice for advice, _ in found} == {Advice.ROLL_BACK}
    assert np.median([rows for _, rows in found]) < 1000


def test_a_better_candidate_is_accepted_early():
    found = [watched(CanaryTest(share=0.2), 0.1, 6000, seed) for seed in range(10)]
    assert {advice for advice, _ in found} == {Advice.ACCEPT}
    assert np.median([rows for _, rows in found]) < 3000


def test_looking_after_every_reward_does_not_make_it_wrong_more_often():
    """Worse by exactly what is tolerated: either advice would be wrong, each in at most alpha of all canaries."""
    found = [watched(CanaryTest(share=0.5, tolerance=0.05, alpha=0.1), -0.05, 800, s)[0] for s in range(120)]
    assert found.count(Advice.ROLL_BACK) <= 20  # 12 expected at most; a binomial 99.5 % quantile above
    assert found.count(Advice.ACCEPT) <= 20


def test_advice_once_given_stands():
    test, seen = CanaryTest(share=0.5), CanaryState()
    while test.advice(seen) is Advice.KEEP_GOING:
        seen = test.watch(test.watch(seen, True, 0.0), False, 1.0)
    assert test.advice(seen) is Advice.ROLL_BACK
    assert test.watch(seen, True, 1.0) == seen


def test_what_it_remembers_survives_as_json():
    test = CanaryTest()
    seen = test.watch(test.watch(CanaryState(), True, 0.25), False, 1.0)
    again = CanaryState.from_json(json.loads(json.dumps(seen.to_json())))
    assert again == seen
    assert test.watch(again, False, 0.5) == test.watch(seen, False, 0.5)
    with pytest.raises(TrainingError, match="expected the keys rows"):
        CanaryState.from_json({"rows": 1})


@pytest.mark.parametrize("reward", [float("nan"), 1e308, -0.1])
def test_a_reward_that_is_none_is_refused(reward):
    with pytest.raises(TrainingError, match="a reward must be in"):
        CanaryTest().watch(CanaryState(), True, reward)


def test_the_difference_is_estimated_without_bias():
    found = []
    for seed in range(40):
        rng, test, seen = np.random.default_rng(seed), CanaryTest(share=0.3, alpha=1e-12), CanaryState()
        for _ in range(300):
            mine = bool(rng.random() < 0.3)
            seen = test.watch(seen, mine, float(rng.random() < (0.7 if mine else 0.5)))
        found.append(test.difference(seen))
    assert np.mean(found) == pytest.approx(0.2, abs=3 * np.std(found) / np.sqrt(40))


def test_shares_and_errors_must_be_possible():
    with pytest.raises(TrainingError, match="canary: share and alpha"):
        CanaryTest(share=0.0)
