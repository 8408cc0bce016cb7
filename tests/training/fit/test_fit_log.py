"""What a fit takes from a log of one outcome per query."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from router.domain.plan import Plan, Stage
from router.learned_plans.risk_thresholds import takes_numbers
from router.plugins import resolve
from router.selectors import SELECTORS
from router.stopping import STOPPING_RULES
from training.fit.from_log import DAY_S, hours_of
from training.fit.log_rows import _Gathered, _labels, _water_level


def sample(backend: str, answer: str, stage: int = 0, number: int = 0, cls: int | None = None):
    return {
        "sample_id": f"{stage}.{number}", "backend": backend, "stage": stage, "index": number, "prefix_tokens": None,
        "finish_reason": "stop", "tokens_in": 5, "tokens_cached": 0, "tokens_out": 7, "mean_logprob": None,
        "first_entropy": None, "answer": answer, "answer_class": cls, "text": answer,
    }  # fmt: skip


def plans() -> dict[str, Plan]:
    never = resolve("stopping rule", STOPPING_RULES, "never")()
    first = resolve("selector", SELECTORS, "first")()
    stage = {name: Stage(name, stop=never, select=first) for name in ("small", "large")}
    return {
        "small": Plan("small", (stage["small"],)),
        "large": Plan("large", (stage["large"],)),
        "cascade": Plan("cascade", (stage["small"], stage["large"])),
    }


DIGESTS = {name: plan.digest for name, plan in plans().items()}


def test_what_a_plan_did_before_its_rules_were_changed_is_no_outcome_of_it():
    gathered = _Gathered(plans(), ("small", "large"))
    for number in range(120):
        drawn = [sample("small", "4"), sample("small", "5", number=1)]
        gathered.add(f"then{number}", "small", "a vote of two", drawn, "4", 1.0)
        gathered.add(f"now{number}", "small", DIGESTS["small"], [sample("small", "4")], "4", 0.0)
    rows, outcomes = gathered.rows("auto")
    assert np.nanmean(outcomes.reward[:, 0]) == np.nanmean(rows.reward[:, 0]) == 0.0
    assert np.nanmax(outcomes.samples[:, 0]) == 1.0
    assert rows.counts["decisions_of_changed_plans"] == 120
    # what samples look like, and whether they were right, is known all the same
    assert rows.counts["samples"] == 360


def test_plans_that_take_a_bundles_numbers_are_known_by_their_names():
    confident = resolve("stopping rule", STOPPING_RULES, "confident")
    first, then = plans()["cascade"].stages
    promised = Plan("cascade", (replace(first, stop=confident(risk=0.1)), then))
    by_hand = Plan("cascade", (replace(first, stop=confident(threshold=0.8)), then))
    assert (takes_numbers(promised), takes_numbers(by_hand)) == (True, False)
    gathered = _Gathered({"cascade": promised}, ("small", "large"))
    gathered.add("q", "cascade", "under another bundle", [sample("small", "4")], "4", 1.0)
    assert gathered.rows("auto")[1].reward[0, 0] == 1.0


def test_a_backend_is_learned_from_plans_of_one_sample_and_a_cascade_from_its_own_reward():
    gathered = _Gathered(plans(), ("small", "large"))
    for number in range(120):
        gathered.add(f"q{number}", "small", DIGESTS["small"], [sample("small", "4")], "4", float(number % 2))
        gathered.add(
            f"c{number}",
            "cascade",
            DIGESTS["cascade"],
            [sample("small", "3"), sample("large", "4", 1)],
            "4",
            1.0,
        )
    rows, outcomes = gathered.rows("auto")
    small = rows.reward[:, 0]
    assert int(np.isfinite(small).sum()) == 120  # not from the cascade, whose small answers were not kept
    assert np.nanmean(small) == 0.5
    assert np.nanmean(outcomes.reward[:, 2]) == 1.0
    assert outcomes.samples[1].tolist()[2:] == [1.0, 1.0]


def test_a_backend_that_is_only_seen_in_cascades_is_given_their_labels_and_that_is_counted():
    gathered = _Gathered(plans(), ("small", "large"))
    gathered.add(
        "q", "cascade", DIGESTS["cascade"], [sample("small", "3"), sample("large", "4", 1)], "4", 1.0
    )
    rows, _ = gathered.rows("auto")
    assert rows.reward[0].tolist() == [0.0, 1.0]
    assert rows.counts["labels_of_selected_samples"] == 2


def test_a_query_that_was_only_decided_does_not_say_how_many_samples_its_plan_draws():
    gathered = _Gathered(plans(), ("small", "large"))
    both = [sample("small", "3"), sample("large", "4", 1)]
    for number in range(20):
        gathered.add(
            f"q{number}",
            "cascade",
            DIGESTS["cascade"],
            both if number % 2 else [],
            "4" if number % 2 else None,
            1.0,
        )
        gathered.add(f"s{number}", "small", DIGESTS["small"], [], None, 0.0)  # its caller asks the model
    gathered.add("q0", "cascade", DIGESTS["cascade"], both[:1], "3", 0.0)
    _, outcomes = gathered.rows("auto")
    assert np.nanmean(outcomes.samples[:, [0, 2, 3]], axis=0).tolist() == [1.0, 1.0, 10 / 11]
    known = np.isfinite(outcomes.samples[:, 3]) & np.isfinite(outcomes.reward[:, 2])
    assert (int(np.isfinite(outcomes.reward[:, 2]).sum()), int(known.sum())) == (20, 11)
    assert np.isfinite(outcomes.reward[:, 0]).sum() == 20


def test_equal_texts_are_one_query_and_their_pairs_say_how_alike_draws_are():
    gathered = _Gathered(plans(), ("small", "large"))
    for reward in (1.0, 0.0, 1.0):
        gathered.add("the  same", "small", DIGESTS["small"], [sample("small", "4")], "4", reward)
    rows, _ = gathered.rows("auto")
    assert len(rows.texts) == 1
    assert rows.both[0, 0] == pytest.approx(1 / 3)  # of three pairs one is right twice


def test_samples_that_say_the_answer_have_its_reward_and_others_are_wrong_where_it_is_right():
    drawn = [
        sample("small", "4", cls=0),
        sample("small", "5", number=1, cls=1),
        sample("small", "four", number=2, cls=0),
    ]
    assert [label for _, label in _labels(drawn, "4", 1.0)] == [1.0, 0.0, 1.0]
    assert [label for _, label in _labels(drawn, "4", 0.0)] == [0.0, None, 0.0]


@pytest.mark.parametrize(("counts", "cap", "level"), [([10, 10], 8, 4), ([1, 100], 50, 49), ([3, 4], 100, 4)])
def test_a_cap_takes_from_the_frequent_actions(counts, cap, level):
    assert _water_level(np.array(counts), cap) == level


def test_the_hours_of_a_log_are_those_of_its_last_whole_days():
    night, noon = np.arange(0, 3 * DAY_S, 3600.0), np.arange(12 * 3600.0, 3 * DAY_S, DAY_S)
    times = np.sort(np.concatenate([night, np.repeat(noon, 500), [3.4 * DAY_S]]))
    shares = hours_of(times)
    assert len(shares) == 24 and sum(shares) == pytest.approx(1.0)
    assert np.argmax(shares) == 12
    assert shares[12] > 0.7


@pytest.mark.parametrize("times", [np.zeros(0), np.arange(0, 0.9 * DAY_S, 60.0)])
def test_a_log_of_less_than_a_day_says_nothing_of_hours(times):
    assert hours_of(times) == ()
