"""Pruning drops the weakest growing samples, once, when all can be compared."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from predictors.observation import Message, Observation, Part, Query, Sample, Tally
from router.domain.verdict import MORE, Action, Verdict
from router.errors import ConfigError
from router.stopping.prune import Prune

QUERY = Query(request_id="r", messages=(Message("user", (Part(text="?"),)),))


def growing(index: int, logprob: float | None, tokens: int = 300) -> Sample:
    return Sample(f"0.{index}", "small", finished=False, prefix_tokens=tokens, mean_logprob=logprob)


def seen(*samples: Sample, max_samples: int = 4) -> Observation:
    return Observation(QUERY, samples, max_samples=max_samples)


def test_a_hand_worked_course_of_four_samples():
    """Two of four go on; every look before the last of them has 256 tokens says more, and so does every one after."""
    rule = Prune(at_tokens=256, keep=0.5)
    first, second, third, fourth = (growing(i, p) for i, p in enumerate([-0.5, -0.1, -0.9, -0.3]))
    early = [replace(sample, prefix_tokens=100) for sample in (first, second, third, fourth)]
    looks = [
        (early[:1], MORE),
        (early[:2], MORE),
        (early[:3], MORE),
        (early, MORE),
        ([first, *early[1:]], MORE),
        ([first, second, *early[2:]], MORE),
        ([first, second, third, early[3]], MORE),
        ([first, second, third, fourth], Verdict(Action.PRUNE, ("0.2", "0.0"))),
        ([second, fourth], MORE),
        ([second, replace(fourth, finished=True)], MORE),
    ]
    assert [rule.verdict(seen(*samples), {}) for samples, _ in looks] == [verdict for _, verdict in looks]


def test_a_finished_sample_is_ranked_and_never_dropped():
    done = replace(growing(0, -2.0), finished=True)
    verdict = Prune().verdict(seen(done, growing(1, -0.2), growing(2, -0.1), growing(3, -0.3)), {})
    assert verdict == Verdict(Action.PRUNE, ("0.3",))


def test_of_equals_the_later_ones_go():
    assert Prune().verdict(seen(*(growing(i, -0.5) for i in range(4))), {}).prune == ("0.3", "0.2")


def test_samples_that_cannot_be_compared_all_go_on():
    assert Prune().verdict(seen(growing(0, -0.1), *(growing(i, None) for i in (1, 2, 3))), {}) == MORE


def test_predicted_confidence_counts_before_the_log_probability():
    samples = [growing(i, -0.1 * i) for i in range(4)]
    signals = {f"sample_confidence/0.{i}": 0.2 * i for i in range(4)}
    assert Prune().verdict(seen(*samples), signals).prune == ("0.0", "0.1")


def test_where_strength_tells_more_of_those_that_go_on_are_right():
    rng = np.random.default_rng(4)
    kept_right, dropped_right = [], []
    for _ in range(300):
        right = rng.random(8) < 0.5
        samples = [growing(i, -1.0 + 0.3 * right[i] + 0.2 * rng.standard_normal()) for i in range(8)]
        dropped = {int(name[2:]) for name in Prune().verdict(seen(*samples, max_samples=8), {}).prune}
        assert len(dropped) == 4
        dropped_right += [right[i] for i in dropped]
        kept_right += [right[i] for i in range(8) if i not in dropped]
    assert np.mean(kept_right) > 0.65
    assert np.mean(dropped_right) < 0.35


def test_nothing_is_pruned_of_what_only_has_a_vote():
    votes = seen(
        Sample("0.0", "small", answer_class=0), Sample("0.1", "small", answer_class=0), max_samples=2
    )
    assert Prune().verdict(replace(votes, tally=Tally((2,), ("a",), 2)), {}) == MORE


@pytest.mark.parametrize(("options", "word"), [({"at_tokens": 0}, "at_tokens"), ({"keep": 1.0}, "keep")])
def test_prune_refuses_what_makes_no_sense(options, word):
    with pytest.raises(ConfigError, match=f"prune: {word}"):
        Prune(**options)
