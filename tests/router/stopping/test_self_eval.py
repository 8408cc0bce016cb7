"""The rule that asks the model whether it would do better: what it hears, when it stops, what it costs."""

from __future__ import annotations

from math import log
from typing import Any

import pytest

from predictors.observation import Message, Observation, Part, Query, Sample, Tally, TokenLogprob
from router.domain.asking import asking_rules
from router.domain.verdict import Action
from router.errors import ConfigError
from router.stopping.agreement import Agreement
from router.stopping.all_of import AllOf
from router.stopping.any_of import AnyOf
from router.stopping.not_before import NotBefore
from router.stopping.self_eval import SelfEval, chance_of_no

QUERY = Query("r", (Message("user", (Part(text="?"),)),))
HEARD = (0.1, 0.5, None, 0.75, 0.79, 0.2, 0.81, 0.3, None, 0.95)


def trace(rule: SelfEval, answers: str = "abacabacab") -> str:
    """m more, E enough, after each of ten samples; "-" has no answer."""
    said, samples, signals = "", list[Sample](), dict[str, float]()
    for index, (answer, chance) in enumerate(zip(answers, HEARD, strict=True)):
        own = None if answer == "-" else "abc".index(answer)
        samples.append(Sample(f"0.{index}", "small", text="so", answer_class=own))
        signals |= {} if chance is None else {f"self_eval/0.{index}": chance}
        seen = Observation(QUERY, tuple(samples), tally=Tally(drawn=index + 1), max_samples=10)
        said += "E" if rule.verdict(seen, signals).action is Action.ENOUGH else "m"
    return said


# Uncalibrated: .81 is the first of at least .8 and stays the best. Slope 2 doubles the log-odds: .75 becomes .9 (odds 9),
# .79 becomes .934. Shift -log 4 divides the odds by 4: .95 (odds 19) becomes 4.75 / 5.75 = .826, nothing before it is
# above .516. The seventh sample without an answer: only .95 is left. At .1 the first is enough.
@pytest.mark.parametrize(
    ("rule", "answers", "expected"),
    [
        (SelfEval(0.8), "abacabacab", "mmmmmmEEEE"),
        (SelfEval(0.899, slope=2.0), "abacabacab", "mmmEEEEEEE"),
        (SelfEval(0.93, slope=2.0), "abacabacab", "mmmmEEEEEE"),
        (SelfEval(0.8, shift=-log(4)), "abacabacab", "mmmmmmmmmE"),
        (SelfEval(0.8), "abacab-cab", "mmmmmmmmmE"),
        (SelfEval(0.1), "abacabacab", "EEEEEEEEEE"),
        (SelfEval(0.99), "abacabacab", "mmmmmmmmmm"),
    ],
)
def test_it_stops_at_the_first_sample_that_need_not_be_done_again(
    rule: SelfEval, answers: str, expected: str
) -> None:
    assert trace(rule, answers) == expected


def reply(text: str, *top: tuple[str, float]) -> Sample:
    """`top`: words and their probabilities."""
    tokens = tuple(TokenLogprob(word, log(share)) for word, share in top)
    told = (TokenLogprob(text, -0.1, top=tokens),) if tokens else ()
    return Sample("0.0", "small", text=text, token_logprobs=told)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (reply("No", (" No", 0.3), ("no", 0.2), ("Yes", 0.1), ("Well", 0.4)), 0.5 / 0.6),
        (reply("Well", ("Well", 0.9), ("Yes", 0.05)), 0.0),
        (reply("No."), 1.0),
        (reply("yes"), 0.0),
        (reply("Well"), None),
        (reply("Well", ("Well", 0.9), ("Hm", 0.1)), None),
    ],
)
def test_what_is_heard_is_nos_share_of_both_words(said: Sample, expected: float | None) -> None:
    assert chance_of_no(said) == (None if expected is None else pytest.approx(expected))
    heard = SelfEval().heard("0.3", said)
    assert heard == ({} if expected is None else {"self_eval/0.3": pytest.approx(expected)})


def test_rules_made_of_it_ask_as_well() -> None:
    rule = SelfEval()
    assert asking_rules(rule) == (rule,)
    assert asking_rules(AnyOf((Agreement(2), NotBefore(rule, 3)))) == (rule,)
    assert asking_rules(AllOf((rule, Agreement(2)))) == (rule,)
    assert asking_rules(AnyOf((Agreement(2),))) == ()


@pytest.mark.parametrize("wrong", [{"threshold": 1.1}, {"slope": 0.0}, {"words": " "}])
def test_impossible_options_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="self_eval: "):
        SelfEval(**wrong)
