"""Arithmetic in a text: whether it holds, and where its numbers come from."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from predictors.worked_numbers import _WORDS, NAMES, evaluate, worked_numbers


def worked(text: str, query: str = "", answer: str = "") -> dict[str, float]:
    return dict(zip(NAMES, worked_numbers(text, query, answer), strict=True))


def steps_of(text: str) -> tuple[int, int]:
    found = worked(text)
    return round(math.expm1(found["steps"])), int(found["wrong_steps"])


@given(st.text(alphabet="0123456789+-*/x=<>().,%$ \nab#×÷", max_size=120), st.text(max_size=60))
def test_any_text_gives_finite_numbers(text, query):
    assert all(map(math.isfinite, worked_numbers(text, query, text[-8:])))


@pytest.mark.parametrize(
    ("text", "steps", "wrong"),
    [
        ("3 * 4 = 12 and 12 + 5 = 17", 2, 0),
        ("3 * 4 = 13", 1, 1),
        ("2 + 3 * 4 = 14", 1, 0),
        ("(2 + 3) * 4 = 20", 1, 0),
        ("255 * (60/5) = 3060", 1, 0),
        ("$1,200 / 3 = $400", 1, 0),
        ("10 - 15 = -5", 1, 0),
        ("20% x 50 = 10", 1, 0),
        ("5 / 20 = 25%", 1, 0),
        ("1 / 3 = 0.33", 1, 0),
        ("7 / 0 = 1", 1, 0),
        ("3 x 60 = <<3*60=180>>180 meters", 1, 0),
        ("3 x 60 = <<3*60=190>>190 meters", 1, 1),
        ("2 miles / 4 miles per hour = 0.5 hours", 1, 0),
        ("40 / 2 + 5 = 20 + 5 = 25", 2, 1),  # the left of the first is 25, not 20
        ("no sums here, 5 apples", 0, 0),
        ("x = 5", 0, 0),
    ],
)
def test_steps_that_do_not_add_up_are_counted(text, steps, wrong):
    assert steps_of(text) == (steps, wrong)


def test_the_first_wrong_step_is_placed():
    assert worked("1 + 1 = 2. 2 + 2 = 5. 5 + 5 = 10. 3 + 3 = 6")["first_wrong_step"] == 0.25
    assert worked("1 + 1 = 2")["first_wrong_step"] == 1.0


def test_numbers_of_the_query_that_no_step_uses_are_counted():
    query = "It costs $40 for the color and $30 per inch. From 10 inches to 8, how much?"
    found = worked("30 x 10 = 300. 300 + 40 = 340", query, "340")
    assert found["share_unused"] == 0.25
    assert found["unsaid"] == 1.0


def test_a_number_is_from_nowhere_unless_asked_computed_or_common():
    query = "Twelve eggs cost $6 with 25% off"
    assert worked("12 * 6 = 72. 72 * 0.75 = 54. 54 / 60 = 0.9", query)["from_nowhere"] == 0.0
    assert worked("17 * 6 = 102", query)["from_nowhere"] == 1.0


PIECES = st.sampled_from(
    ("two", "Twice", "HALF", "half's", "un-half", "two3three", "dozen", "é", "İ", "K", "\ud800")
)


@given(st.lists(PIECES | st.text(max_size=3), max_size=12), st.sampled_from(("", " ", "\n")))
def test_numbers_in_words_are_whole_runs_of_letters(pieces, between):
    query = between.join(pieces)
    said = {_WORDS[word] for word in re.findall("[a-z]+", query.lower()) if word in _WORDS}
    assert worked("", query)["query_number_words"] == len(said)


def test_the_samples_of_a_query_do_not_change_what_it_asks():
    queries = ["Twice 40 and 30", "Half of 12"]
    first = [worked("30 x 10 = 300. 300 + 40 = 340", query, "340") for query in queries]
    again = [worked("30 x 10 = 300. 300 + 40 = 340", query, "340") for query in reversed(queries)]
    assert again[::-1] == first
    assert first[0]["query_numbers"] == 2.0
    assert first[1]["query_numbers"] == 1.0


def test_a_result_that_nothing_uses_is_left_lying():
    assert worked("2 + 3 = 5. 4 + 4 = 8. 8 * 2 = 16", "", "16")["left_lying"] == 1.0


def test_the_answer_is_compared_with_results_and_query():
    found = worked("2 + 3 = 5. 5 * 4 = 20", "2 and 3 and 20", "-20")
    assert (found["negative_answer"], found["answer_in_query"], found["answer_is_last_result"]) == (1, 0, 0)
    found = worked("2 + 3 = 5. 5 * 4 = 20", "2 and 3 and 20", "20")
    assert (found["negative_answer"], found["answer_in_query"], found["answer_is_last_result"]) == (0, 1, 1)
    assert worked("8 / 3 = 2.67", "8 by 3", "2.67")["unasked_fraction"] == 1.0


@pytest.mark.parametrize(
    ("pieces", "value"),
    [
        ("2 + 3 * 4", 14.0),
        ("( 2 + 3 ) * 4", 20.0),
        ("10 - 4 - 3", 3.0),
        ("50% * 8", 4.0),
        ("1 / 0", None),
        ("+ 3", None),
        ("3 4", None),
        ("", None),
    ],
)
def test_an_expression_has_the_value_that_school_gives_it(pieces, value):
    assert evaluate(pieces.split()) == value


def test_thousands_of_brackets_do_no_harm():
    assert all(map(math.isfinite, worked_numbers("(" * 4000 + "1+1" + ")" * 4000 + " = 2", "", "2")))
