"""Every selector over one course of ten samples: its answer after each, worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from predictors.observation import Sample, Tally, ToolCall
from router.selectors import SELECTORS, Selector
from router.selectors.best_of_majority import BestOfMajority
from router.selectors.first import First
from router.selectors.inverse_entropy import InverseEntropy
from router.selectors.judge import Judge
from router.selectors.majority import Majority
from router.selectors.medoid import Medoid
from router.selectors.most_confident import MostConfident
from router.selectors.pairwise import Pairwise
from router.selectors.path_probability import PathProbability
from router.selectors.surprisal import Surprisal
from router.selectors.synthesis import Synthesis
from router.selectors.tool_calls import ToolCalls
from router.selectors.weighted import Weighted

ANSWERS = "abacbaabcc"
CONFIDENCE = [0.2, 0.9, 0.3, 0.95, 0.5, 0.1, 0.2, 0.6, 0.9, 0.1]
LOGPROB = [-1.0, -0.1, -0.9, -0.05, -0.5, -1.2, -1.0, -0.4, -0.1, -1.0]
VERIFIED = [0.5, 1.0, 0.0, 1.0, 1.0, 0.0, 0.5, 1.0, 1.0, 1.0]


def course(answers: str = ANSWERS, *, texts: bool = False) -> list[Sample]:
    classes = list(dict.fromkeys(answers))
    return [
        Sample(
            f"0.{index}",
            "small",
            text=f"the answer {answer}" if texts else f"path {index}",
            answer=answer,
            answer_class=classes.index(answer),
            confidence=CONFIDENCE[index],
            mean_logprob=LOGPROB[index],
            tokens_out=10,
        )
        for index, answer in enumerate(answers)
    ]


def counted(samples: Sequence[Sample]) -> Tally:
    classes = [sample.answer_class for sample in samples if sample.answer_class is not None]
    counts = tuple(classes.count(one) for one in sorted(set(classes)))
    return Tally(counts, tuple(map(str, counts)), len(samples))


def answers_after_each(selector: Selector, samples: Sequence[Sample]) -> str:
    signals = {f"verified/0.{index}": value for index, value in enumerate(VERIFIED)}
    if not isinstance(selector, Surprisal):
        signals = {}
    chosen = [
        selector.select(samples[:drawn], counted(samples[:drawn]), signals).samples[0]
        for drawn in range(1, len(samples) + 1)
    ]
    return "".join(sample.answer or "-" for sample in chosen)


@pytest.mark.parametrize(
    ("selector", "answers"),
    [
        (First(), "aaaaaaaaaa"),
        # 1:1 goes to b (.9 of confidence against .2), 2:2 too (1.4 against .5)
        (Majority(), "abaabaaaaa"),
        (MostConfident(), "abbccccccc"),
        # exp(c / .3): b 20.1, c 23.7; with the fifth b 25.4; with the ninth c 43.8 against b 32.8
        (Weighted(0.3), "abbcbbbbcc"),
        # 1 / H: b 10, c 20, with the fifth b 12, the eighth 14.5
        (InverseEntropy(), "abbccccccc"),
        # exp(logprob): b .905, a .775; c .951; b 1.511 against a 1.443; b 2.182, c 1.856; at last c 2.224
        (PathProbability(per_token=True, prune=False), "abbcbbbbbc"),
        # ten tokens: exp(10 logprob): b .368, c .607 and with the ninth .974, b .393
        (PathProbability(prune=False), "abbccccccc"),
        # mean confidence of those with a quarter of the votes: the fifth to ninth leave c out; then b .667, c .65
        (BestOfMajority(0.25), "abbcbbbbbb"),
        # the best score, then the least likely: b .1 before c .05, then b .5, at the end c 1.0
        (Surprisal(), "abbbbbbbbc"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_it_answers_what_was_worked_out_by_hand(selector, answers):
    assert answers_after_each(selector, course()) == answers


def test_the_medoid_of_texts_that_are_equal_or_share_nothing_but_two_words_has_most_of_its_like():
    """Ties (2:1:… as well as 2:2:2) go to the text that came first."""
    assert answers_after_each(Medoid(), course("abbacccbcc", texts=True)) == "aabaaacbcc"


def test_tool_calls_are_votes():
    def calling(index: int, arguments: str) -> Sample:
        answer = "B" if arguments == '{"x": 2}' else "A"
        return Sample(
            f"0.{index}", "small", answer=answer, tool_calls=(ToolCall(f"c{index}", "f", arguments),)
        )

    def saying(index: int) -> Sample:
        return Sample(f"0.{index}", "small", text="t", answer="t", answer_class=0)

    one, same, other = '{"x": 1, "y": 2}', '{"y":2,"x":1.0}', '{"x": 2}'
    samples = [
        calling(0, other), calling(1, one), calling(2, same), saying(3), saying(4), saying(5),
        calling(6, other), calling(7, other), calling(8, same), calling(9, one),
    ]  # fmt: skip
    # 1:1 the earlier; 2:2 of A and t: A came first; 3:3 B, then A has four
    assert answers_after_each(ToolCalls(), samples) == "BBAAAttBBA"


def test_every_selector_has_a_trace():
    traced = {
        First, Majority, MostConfident, Weighted, InverseEntropy, PathProbability, BestOfMajority, Surprisal, Medoid,
        ToolCalls,
        Judge, Pairwise, Synthesis,  # in test_asking_traces.py
    }  # fmt: skip
    assert {target.partition(":")[2] for target in SELECTORS.values()} == {one.__name__ for one in traced}
