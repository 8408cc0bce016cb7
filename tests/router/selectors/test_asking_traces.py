"""Selectors that ask, over one course of ten samples: what is asked, and the answer after each, worked out by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from predictors.observation import Message, Part, Query, Sample, Tally
from router.domain.asking import Question, shortened
from router.errors import ConfigError
from router.selectors import Selection
from router.selectors.judge import Judge, passed
from router.selectors.pairwise import Pairwise, strengths
from router.selectors.synthesis import Synthesis

ANSWERS = "abacbaabcc"
QUERY = Query("r", (Message("user", (Part(text="What is it?"),)),))
Answering = Callable[[str], str | None]


def course(answers: str = ANSWERS) -> list[Sample]:
    classes = list(dict.fromkeys(answers))
    return [
        Sample(f"0.{n}", "small", text=f"it is <{one}>", index=n, answer=one, answer_class=classes.index(one))
        for n, one in enumerate(answers)
    ]


def counted(samples: Sequence[Sample]) -> Tally:
    classes = [sample.answer_class for sample in samples]
    counts = tuple(classes.count(one) for one in sorted({one for one in classes if one is not None}))
    return Tally(counts, tuple(map(str, counts)), len(samples))


def asked(selector: Any, samples: Sequence[Sample], answering: Answering) -> tuple[Selection, list[str]]:
    """The selection where the backend answers so, and the questions' last turns."""
    steps, heard = selector.questions(QUERY, samples, counted(samples), {}), list[str]()
    try:
        questions: tuple[Question, ...] = next(steps)
        while True:
            assert len(questions) <= selector.asks.calls
            turns = [question.query.messages[-1].text for question in questions]
            heard += turns
            for question in questions:
                written = sum(len(m.text.encode()) for m in question.query.messages)
                own = len(QUERY.text) if selector.asks.reads_query else 0
                assert written <= selector.asks.prompt_bytes + own
                assert question.max_tokens == selector.asks.max_tokens
            told = [answering(turn) for turn in turns]
            questions = steps.send(tuple(None if one is None else Sample("x", "l", text=one) for one in told))
    except StopIteration as ended:
        return ended.value, heard


def trace(selector: Any, answering: Answering, answers: str = ANSWERS) -> str:
    samples = course(answers)
    chosen = [asked(selector, samples[:n], answering)[0].samples[0] for n in range(1, len(samples) + 1)]
    return "".join(one.answer or "-" for one in chosen)


def likes(letter: str) -> Answering:
    return lambda turn: "YES" if f"<{letter}>" in turn else "No."


def prefers(order: str) -> Answering:
    """Takes the answer whose letter comes first in `order`."""

    def say(turn: str) -> str:
        first, second = (turn.index(f"<{letter}>") if f"<{letter}>" in turn else -1 for letter in order[:2])
        places = {letter: turn.index(f"<{letter}>") for letter in order if f"<{letter}>" in turn}
        assert len(places) == 2, (first, second)
        best = min(places, key=order.index)
        return "FIRST" if places[best] == min(places.values()) else "SECOND"

    return say


# Votes for (a, b, c) after each sample: 100 110 210 211 221 321 421 431 432 433. A pass multiplies by .8 / .3 = 2.67,
# a failure by .2 / .7 = .286. Judge likes b: it answers once 2.67 b > .286 a, always from its first vote on. Judge likes
# c: 2.67 c > .286 max(a, b), from its first vote on. A judge with .6 and .4 (1.5 and .667, 2.25 against another) that
# likes b: after 3 samples 2.25 > 2, after 7 4.5 > 4, after 10 6.75 > 4; likes c: 2.25 > 2 at 4 and 5, 2.25 < 3 at 6,
# 2.25 < 4 at 7 and 8, 4.5 > 4 at 9, 6.75 at 10.
@pytest.mark.parametrize(
    ("judge", "answering", "expected"),
    [
        (Judge("large"), likes("b"), "abbbbbbbbb"),
        (Judge("large"), likes("c"), "aaaccccccc"),
        (Judge("large", passes_right=0.6, passes_wrong=0.4), likes("b"), "abbbbbbbbb"),
        (Judge("large", passes_right=0.6, passes_wrong=0.4), likes("c"), "aaaccaaacc"),
        (Judge("large", passes_right=0.5, passes_wrong=0.5), likes("c"), "aaaaaaaaaa"),
        # a and b fail: .286 a against c, which nobody looked at: c at 4 to 6, a at 7 and 8 (1.14 > 1), c at 9 and 10
        (Judge("large", candidates=2), likes("c"), "aaacccaacc"),
        (Judge("large"), lambda turn: "hm", "aaaaaaaaaa"),
        (Judge("large"), lambda turn: None, "aaaaaaaaaa"),
    ],
)
def test_a_judge_multiplies_the_votes_by_what_its_verdicts_are_worth(
    judge: Judge, answering: Answering, expected: str
) -> None:
    assert trace(judge, answering) == expected


def test_the_judges_confidence_is_the_posterior_beside_none_of_them() -> None:
    """Votes 3, 1: weights 3 * .2 / .7 = .857, 1 * .8 / .3 = 2.667, and 1 for none: 2.667 / 4.524."""
    selection, _ = asked(Judge("large"), course("aaba"), likes("b"))
    assert selection.samples[0].answer == "b"
    assert selection.confidence == pytest.approx(2.6667 / 4.5238, abs=1e-4)


def test_unanimous_samples_are_not_shown_to_anybody() -> None:
    for selector in (Judge("large"), Pairwise("large"), Synthesis("large")):
        assert asked(selector, course("aaa"), likes("a"))[1] == []


# Three answers, compared in full from the 4th sample on; two before. The order of preference decides, not the votes.
@pytest.mark.parametrize(
    ("order", "candidates", "expected"),
    [
        ("abc", 3, "aaaaaaaaaa"),
        ("bca", 3, "abbbbbbbbb"),
        ("cab", 3, "aaaccccccc"),
        ("cab", 2, "aaaaaaaaaa"),  # c is never among the first two; a against b
        ("cba", 2, "abbbbbbbbb"),
    ],
)
def test_the_strongest_in_pairs_is_the_answer(order: str, candidates: int, expected: str) -> None:
    assert trace(Pairwise("large", candidates=candidates), prefers(order)) == expected


def test_a_ranker_that_always_takes_the_first_leaves_the_majority() -> None:
    assert trace(Pairwise("large"), lambda turn: "FIRST") == "aaaaaaaaaa"


def test_a_pair_without_both_replies_does_not_count() -> None:
    replies = iter(["FIRST", None, None, "SECOND", "FIRST", "SECOND"])  # only b against c is complete: b wins
    selection, heard = asked(Pairwise("large"), course("aabc"), lambda turn: next(replies))
    assert len(heard) == 6
    assert [sample.answer for sample in selection.samples] == ["b", "a", "c"]


def test_bradley_terry_strengths_solve_their_equations() -> None:
    wins = [[0.0, 2.0, 1.5], [0.0, 0.0, 1.0], [0.5, 1.0, 0.0]]
    found = strengths(wins)
    for i, mine in enumerate(found):
        expected = mine / (mine + 1) + sum(
            (wins[i][j] + wins[j][i]) * mine / (mine + other) for j, other in enumerate(found) if j != i
        )
        assert expected == pytest.approx(0.5 + sum(wins[i]), rel=1e-4)
    assert found[0] > found[1] == pytest.approx(found[2], rel=0.5)


# The writer answers with a letter of its own, d: it is asked as soon as two samples are there that are not all alike.
def test_a_synthesis_is_asked_where_samples_differ_and_may_disagree_with_all() -> None:
    selector, samples = Synthesis("large"), course()
    chosen = [asked(selector, samples[:n], lambda turn: "so <d>")[0] for n in range(1, 11)]
    assert [one.samples[0].sample_id for one in chosen] == ["0.0"] + ["0.synthesis"] * 9
    assert {one.samples[0].text for one in chosen[1:]} == {"so <d>"}
    assert [sample.answer for sample in chosen[-1].samples[1:]] == ["a", "b", "c"]


def test_a_synthesis_reads_one_attempt_of_each_answer_first_and_says_which_is_which() -> None:
    _, (turn,) = asked(Synthesis("large", candidates=4), course(), lambda turn: "d")
    shown = [turn.index(f"it is <{letter}>") for letter in "abc"]
    assert shown == sorted(shown)
    assert turn.count("it is <a>") == 2 and "Attempt 4:" in turn and "Attempt 5:" not in turn


def test_a_synthesis_that_says_nothing_leaves_the_majority() -> None:
    for nothing in (None, "", "  \n"):
        assert trace(Synthesis("large"), lambda turn, said=nothing: said) == "aaaaaaaaaa"  # type: ignore[misc]


def test_long_texts_are_cut_to_what_was_promised() -> None:
    long = [
        Sample(f"0.{n}", "small", text="ä€" * 9000 + one, answer=one, answer_class=n)
        for n, one in enumerate("abc")
    ]
    for selector in (Judge("large"), Pairwise("large"), Synthesis("large")):
        asked(selector, long, likes("a") if isinstance(selector, Judge) else lambda turn: "FIRST")
    assert len(shortened("ä€" * 9000, 500).encode()) <= 500


@pytest.mark.parametrize(("reply", "verdict"), [("Yes", True), ("YES or no? no", False), ("yesterday", None)])
def test_a_verdict_is_the_last_word_of_the_two(reply: str, verdict: bool | None) -> None:
    assert passed(reply) is verdict


@pytest.mark.parametrize(
    "wrong",
    [
        {"candidates": 1},
        {"passes_right": 1.0},
        {"passes_wrong": 0.9},
        {"max_tokens": 0},
        {"longest": 1},
    ],
)
def test_impossible_judges_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="judge: "):
        Judge("large", **wrong)
