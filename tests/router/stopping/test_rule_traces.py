"""Every rule over one sequence of answers, its verdicts worked out by hand: m more, E enough, e escalate, p prune."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from predictors.observation import Message, Observation, Part, Query, Sample, Tally
from router.domain.verdict import Action
from router.stopping import STOPPING_RULES, StoppingRule
from router.stopping.agreement import Agreement
from router.stopping.all_of import AllOf
from router.stopping.any_of import AnyOf
from router.stopping.beta import Beta
from router.stopping.confident import Confident
from router.stopping.dirichlet import Dirichlet
from router.stopping.entropy import Entropy
from router.stopping.first_finish import FirstFinish
from router.stopping.hopeless import Hopeless
from router.stopping.instance_adaptive import InstanceAdaptive
from router.stopping.lock_in import LockIn
from router.stopping.majority_certificate import MajorityCertificate
from router.stopping.never import Never
from router.stopping.not_before import NotBefore
from router.stopping.token_cap import TokenCap
from router.stopping.window import Window

QUERY = Query(request_id="r", messages=(Message("user", (Part(text="?"),)),))
WORDS = {Action.MORE: "m", Action.ENOUGH: "E", Action.ESCALATE: "e", Action.PRUNE: "p"}

TRACES: list[tuple[StoppingRule, str, str]] = [
    # the rule, the answers (- : none), its words
    (Never(), "aaaaaaaaaa", "mmmmmmmmmm"),
    (Agreement(3), "ab-bacabca", "mmmmmmEEEE"),  # the third a is the seventh sample
    # 2^8 / 9 = 28.4 >= 20 first; one b: 2^(a+1) / ((a+2)(a+1)) >= 20 first at a = 9 (1024 / 110 = 9.3), no: a = 11
    (MajorityCertificate(0.05), "aaaaaaaaaa", "mmmmmmmEEE"),
    (MajorityCertificate(0.05), "baaaaaaaaaaa", "mmmmmmmmmmmE"),  # 2^12 / (13 * 12) = 26.3
    # 1 - 2^-(a+1): .9375 at 3, .96875 at 4; with one b, 1 - (a+3) / 2^(a+2): .9375 at 5, .9648 at 6
    (Beta(0.95), "aaaaaaaaaa", "mmmEEEEEEE"),
    (Beta(0.95), "abaaaaaaab", "mmmmmmEEEE"),  # and 8:2 is 1 - 67 / 2048 = .967
    # with c, the third class, 6:1:1 is no longer .95, 7:1:1 is
    (Dirichlet(0.95), "abcaaaaaaa", "mmmmmmmmEE"),
    (Window(3), "aabbbaaa-aaa", "mmmmEmmEmmmE"),
    # ten may be drawn: 6:0 with 4 left is safe, 5:0 with 5 left is not
    (LockIn(), "aaaaaaaaaa", "mmmmmEEEEE"),
    # 5:2 with 3 left may end in a tie, 6:2 with 2 left not
    (
        LockIn(),
        "abaaabaaba",
        "mmmmmmmEEE",
    ),
    # log 2 = .693; 3:1 = .562, 4:1 = .500, 5:1 = .451, 6:1 = .410
    (Entropy(0.5, 4), "abaaaaaaaa", "mmmmmEEEEE"),
    (FirstFinish(2), "--a-b-----", "mmmmEEEEEE"),
    (TokenCap(35), "aaaaaaaaaa", "mmmmmmmmEE"),  # four tokens each, cap reached with the ninth
    (AnyOf((Window(2), TokenCap(36))), "abaabababb", "mmmEmmmmEE"),
    (AllOf((Agreement(2), TokenCap(24))), "abcdefghija", "mmmmmmmmmmE"),
    (AllOf((Agreement(2), TokenCap(24))), "aaaaaaaaaa", "mmmmmEEEEE"),
    (NotBefore(Agreement(2), 6), "aaaaaaaaaa", "mmmmmEEEEE"),
    (Hopeless(5), "abcdefgaha", "mmmmeeemmm"),  # the second a agrees with the first
]


def trace(rule: StoppingRule, answers: str, signals: Mapping[str, float], max_samples: int = 10) -> str:
    """The rule's words after each sample; every sample has four tokens."""
    said = ""
    samples: list[Sample] = []
    votes: list[str] = []
    for index, answer in enumerate(answers):
        votes += [answer] if answer != "-" else []
        classes = list(dict.fromkeys(votes))
        own = None if answer == "-" else classes.index(answer)
        samples.append(Sample(f"0.{index}", "small", tokens_out=4, answer_class=own))
        tally = Tally(tuple(votes.count(one) for one in classes), tuple(classes), index + 1)
        seen = Observation(QUERY, tuple(samples), tally=tally, max_samples=max_samples)
        latest = (
            {"sample_confidence": signals[key]} if (key := f"sample_confidence/0.{index}") in signals else {}
        )
        said += WORDS[rule.verdict(seen, {**signals, **latest}).action]
    return said


@pytest.mark.parametrize(("rule", "answers", "said"), TRACES, ids=lambda value: str(value)[:40])
def test_it_says_what_was_worked_out_by_hand(rule, answers, said):
    assert trace(rule, answers, {}) == said


def test_confident_follows_the_latest_confidence():
    confidences = [0.1, 0.79, 0.8, 0.5, 0.95, 0.0, 0.81, 0.2, 1.0, 0.7999]
    signals = {f"sample_confidence/0.{index}": value for index, value in enumerate(confidences)}
    assert trace(Confident(0.8), "abcabcabca", signals) == "mmEmEmEmEm"


def test_instance_adaptive_draws_what_the_low_pass_rate_asks_for():
    """log .1 / log .6 = 4.5, so five; log .1 / log .75 = 8.004, so nine; without an answer never."""
    assert trace(InstanceAdaptive(0.9), "abcdefghij", {"pass_rate_low/small": 0.4}) == "mmmmEEEEEE"
    assert trace(InstanceAdaptive(0.9), "aaaaaaaaaa", {"pass_rate_low/small": 0.25}) == "mmmmmmmmEE"
    assert trace(InstanceAdaptive(0.9), "----------", {"pass_rate_low/small": 0.4}) == "mmmmmmmmmm"


def test_hopeless_weighs_the_confidences():
    """Uniform prior, each sample right with .02: (1 + .02 n) / (2 + n) falls below .12 from n = 8 (.116)."""
    signals = {f"sample_confidence/0.{index}": 0.02 for index in range(10)}
    assert trace(Hopeless(5, pass_rate=0.12), "aaaaaaaaaa", signals) == "mmmmmmmeee"


def test_every_rule_by_itself_has_a_trace():
    traced = {type(rule).__name__ for rule, _, _ in TRACES} | {"Confident", "InstanceAdaptive"}
    elsewhere = {
        "Prune",
        "ValueOfNext",
        "Hop",
    }  # growing samples, a prior, another backend: see their own tests
    elsewhere |= {"SelfEval", "LearnedStop"}  # asks, is fitted: see test_self_eval, test_learned_stop
    elsewhere |= {"Converged", "SafeExit", "Utility", "Deadline", "Looping"}  # see test_growing_rules
    assert {target.partition(":")[2] for target in STOPPING_RULES.values()} - elsewhere == traced
