"""Where a tentative answer stands in a text."""

from __future__ import annotations

from math import log1p
from time import process_time

import pytest

from predictors.exit_text import MOST, NOTHING, READ, Written, written


def test_times_first_and_last_place_are_told():
    text = "so 42 it is. Again: 42! ok"
    found = written(text, "42")
    assert (found.times, found.ago) == (log1p(2), log1p(len("42! ok")))
    assert found.since == pytest.approx(1 - 3 / len(text))


@pytest.mark.parametrize("text", ["it is 142", "it is 420", "it is 3.42", "it is x42", "nothing"])
def test_a_part_of_another_number_or_word_is_not_the_answer(text):
    assert written(text, "42") == Written(ago=log1p(len(text)))


def test_a_number_at_the_end_of_a_sentence_is_the_answer_whatever_its_case():
    assert written("It is Paris.", "paris").times == log1p(1)
    assert written("It is 42.", "42").times == log1p(1)


def test_the_last_place_may_be_followed_by_parts_of_other_words():
    assert written("42, then 420 and 421", "42").ago == log1p(len("42, then 420 and 421"))


@pytest.mark.parametrize(("text", "answer"), [("", "42"), (" 42\n", "42"), ("", None), ("", "")])
def test_where_there_is_no_text_but_the_answer_nothing_is_known(text, answer):
    """As recordings without texts are served: the answer stands for the text."""
    assert written(text, answer) == NOTHING


def test_without_an_answer_it_has_not_been_written_since_the_text_began():
    assert written("let me think", None) == Written(ago=log1p(12))
    assert written("let me think", " ") == Written(ago=log1p(12))


def test_of_a_long_text_the_end_is_read_and_no_more_than_so_many_places():
    assert written("42 " + "x" * READ, "42").times == 0
    assert written("1 " * READ, "1").times == log1p(MOST)
    assert written("1 " * READ, "1").ago == log1p(2)


def test_reading_is_cheap_however_often_the_answer_stands_there():
    text = "11 1" * 50_000
    begun = process_time()
    for _ in range(100):
        written(text, "1")
    # some 40 microseconds; far above for the sake of busy machines
    assert (process_time() - begun) / 100 < 2e-3
