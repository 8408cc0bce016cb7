"""The fitted rule: its features, a trace worked out by hand, and what it is without weights."""

from __future__ import annotations

from typing import Any

import pytest

from predictors.observation import Message, Observation, Part, Query, Sample, Tally
from router.domain.verdict import Action
from router.errors import ConfigError
from router.stopping.learned_stop import FEATURES, LearnedStop, vote_features
from router.stopping.never import Never
from router.stopping.value_of_next import ValueOfNext

QUERY = Query("r", (Message("user", (Part(text="?"),)),))
WORDS = {Action.MORE: "m", Action.ENOUGH: "E", Action.ESCALATE: "e"}


def weights(**known: float) -> tuple[float, ...]:
    return tuple(known.get(name, 0.0) for name in FEATURES)


def seen(answers: str, most: int = 10) -> Observation:
    classes = list(dict.fromkeys(answer for answer in answers if answer != "-"))
    samples = tuple(
        Sample(f"0.{n}", "small", answer_class=None if one == "-" else classes.index(one))
        for n, one in enumerate(answers)
    )
    tally = Tally(tuple(answers.count(one) for one in classes), tuple(classes), len(answers))
    return Observation(QUERY, samples, tally=tally, max_samples=most)


def trace(rule: LearnedStop, answers: str, **signals: float) -> str:
    given = {name.replace("__", "/"): value for name, value in signals.items()}
    return "".join(
        WORDS[rule.verdict(seen(answers[:drawn]), given).action] for drawn in range(1, len(answers) + 1)
    )


# gain = .5 - .5 share: at most .1 where the share is .8 or more. abaaaaaaab: 1, 1/2, 2/3, 3/4, 4/5, 5/6, …, 8/9, 8/10
BY_SHARE = weights(one=0.5, share=-0.5)
# gain = .3 - lead / 5, lead = (a - b) / sqrt n: at most .1 at a lead of 1 or more. 1, 0, .58, 1, .45, .82, 1.13, …
BY_LEAD = weights(one=0.3, lead=-0.2)


@pytest.mark.parametrize(
    ("rule", "answers", "expected"),
    [
        (LearnedStop(BY_SHARE, 0.1), "abaaaaaaab", "EmmmEEEEEm"),
        (LearnedStop(BY_LEAD, 0.1), "abaabaaaaa", "EmmEmmEEEm"),
        # classes / votes: 1 1/2 2/3 2/4 3/5 3/6
        (
            LearnedStop(weights(answers=1.0), 0.5),
            "aabacaaaaa",
            "mEmEmEEEEm",
        ),
        (LearnedStop(weights(safe=-1.0, one=1.0), 0.0), "aaaaaaaaaa", "mmmmmEEEEm"),  # as lock_in: 6 of 10
        # nobody leads: not enough, but hopeless
        (
            LearnedStop(weights(one=-1.0)),
            "abcdab----",
            "Eeeeeeeeem",
        ),
        (LearnedStop(weights(one=-1.0)), "---abaaaaa", "mmmEeEEEEm"),
    ],
)
def test_its_words_follow_from_the_gain(rule: LearnedStop, answers: str, expected: str) -> None:
    assert trace(rule, answers) == expected


def test_what_is_expected_of_the_query_counts() -> None:
    rule = LearnedStop(weights(odds=-0.1, one=0.1), 0.05)  # .1 - .1 log-odds: enough above P = .62
    assert trace(rule, "aaaa") == "mmmm"
    assert trace(rule, "aaaa", p_correct__small=0.7) == "EEEE"
    assert trace(rule, "aaaa", p_correct__small=0.6) == "mmmm"


def test_without_weights_it_is_the_other_rule() -> None:
    usual, never = ValueOfNext(), LearnedStop(otherwise=Never())
    for answers in ("a", "aab", "aaaa", "abcd", "abab", "-a", "aaaaaaaa"):
        for signals in ({}, {"p_correct/small": 0.9}, {"p_correct/small": 0.1}):
            assert LearnedStop().verdict(seen(answers), signals) == usual.verdict(seen(answers), signals)
        assert never.verdict(seen(answers), {}).action is Action.MORE


def test_the_order_of_votes_does_not_matter() -> None:
    assert vote_features((1, 4, 2), 3, 0.7) == vote_features((4, 2, 1), 3, 0.7)


@pytest.mark.parametrize("wrong", [{"weights": (0.1,)}, {"least": 1.0}, {"least": -0.1}])
def test_impossible_options_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="learned_stop: "):
        LearnedStop(**wrong)
