"""Free text is put together where it says the same: on labelled pairs, on their other half, and in a tally."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from predictors.observation import Tally
from router.answering.classes import AnswerClasses, voted
from router.answering.same_text import ENOUGH, likeness, same_text
from router.answers import extract

LINES = (Path(__file__).with_name("same_text_pairs.txt")).read_text().splitlines()
PAIRS = [(label == "=", first, second) for label, first, second in (line.split(" | ") for line in LINES)]
# two neighbouring pairs share a sentence, so that halves are made of every other two
TUNED = [pair for place, pair in enumerate(PAIRS) if place // 2 % 2 == 0]
HELD_OUT = [pair for place, pair in enumerate(PAIRS) if place // 2 % 2 == 1]


def f1(pairs: list[tuple[bool, str, str]], enough: float = ENOUGH) -> float:
    found = [(same, likeness(first, second) >= enough) for same, first, second in pairs]
    both = sum(same and said for same, said in found)
    return 2 * both / (sum(same for same, _ in found) + sum(said for _, said in found))


def test_there_are_three_hundred_pairs_of_both_kinds():
    assert len(PAIRS) >= 300
    assert sum(same for same, _, _ in PAIRS) == len(PAIRS) // 2
    assert len(set(LINES)) == len(LINES)


def test_on_the_half_that_nothing_was_tuned_on_f1_is_high():
    assert f1(HELD_OUT) >= 0.85


def test_the_threshold_is_the_best_of_the_half_it_was_tuned_on():
    assert f1(TUNED) >= max(f1(TUNED, enough / 100) for enough in range(30, 100, 4))


def test_what_is_said_to_be_the_same_mostly_is():
    """A wrong merge changes an answer, a missed one costs a vote."""
    merged = [same for same, first, second in PAIRS if same_text(first, second)]
    assert sum(merged) / len(merged) > 0.95


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("The bridge is not closed.", "The bridge is closed.", False),
        ("The bridge isn't closed.", "The bridge is not closed!", True),
        ("It costs 15 dollars.", "It costs 50 dollars.", False),
        ("Ann called Bob.", "Bob called Ann.", False),
        ("Ann called Bob.", "Bob was called by Ann.", True),
        ("", "", True),
        ("", "Paris", False),
        ("42", "42.", True),
        ("42", "43", False),
    ],
)
def test_small_words_can_turn_it_round(first, second, same):
    assert same_text(first, second) is same


@given(first=st.text(max_size=200), second=st.text(max_size=200))
def test_it_is_symmetric_and_never_fails(first, second):
    assert same_text(first, second) == same_text(second, first)
    assert 0 <= likeness(first, second) <= 1


@given(st.text(alphabet=st.characters(codec="ascii"), max_size=300))
def test_a_text_says_what_it_says(text):
    assert same_text(text, text)


@pytest.mark.timeout(5)
def test_long_texts_are_compared_word_for_word():
    long = "so it follows " * 8_000
    assert same_text(long, long + "  ")
    assert not same_text(long, long + "not")


async def test_free_text_votes_by_what_it_says():
    classes, tally = AnswerClasses(), Tally()
    for text in (
        "Paris is the capital of France.",
        "The capital of France is Lyon.",
        "The capital of France is Paris.",
        "France's capital is Paris.",
    ):
        answer = extract(text, "prose")
        assert answer is not None
        tally = voted(tally, answer, await classes.classify(tally, answer, "prose"))
    assert tally.counts == (3, 1)
