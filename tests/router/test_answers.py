"""Answers are found, equal answers share a canonical string, and no text makes either slow or fail."""

from __future__ import annotations

import json
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.answering.number_forms import canonical_number, parse_number
from router.answers import ANSWER_KINDS, canonical, extract
from router.errors import UnknownName


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("The answer is 42.", "42"),
        ("He pays 3 * $4 = $12.\nThe answer is $1,234.50 in total.", "$1,234.50"),
        ("so \\boxed{\\frac{3}{4}} it is", "3/4"),
        ("<<9*2=18>>18 dollars\n#### 18\n", "18"),
        ("She sells 16 - 3 - 4 = 9 eggs.", "9"),
        ("The answer is 6 * 7 = 42 apples", "42"),
        ("Answer: −7", "−7"),
        ("It is 50% of them", "50"),
        ("The final answer is: \\[\n7\n\\]", "7"),
        ("**Answer:** 1.5e3", "1.5e3"),
        ("<answer>\n12\n</answer> because 5", "12"),
        ("no digits at all", None),
        ("It is 7. " + "Nothing else was said about it. " * 20, "7"),
        ("first 123456789 " + "x" * 295 + " 5", "5"),
        ("0" * 20 + "1234567 " + "x" * 296, "000000000000000000001234567"),
    ],
)
def test_a_number_is_found(text, answer):
    assert extract(text, "number") == answer


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B", "B"),
        ("(b)", "B"),
        ("**C**.", "C"),
        ("Answer: D", "D"),
        ("The answer is (B) because it flies.", "B"),
        ("The correct answer is A.", "A"),
        ("The answer is A because of this", "A"),
        ("B. Paris", "B"),
        ("A is wrong, so (B) or (C)? It must be option C", "C"),
        ("Reasoning first.\nC", "C"),
        ("\\boxed{E}", "E"),
        ("The answer is a dog", None),
        ("Answer: A dog", None),
        ("nothing here", None),
    ],
)
def test_a_choice_is_found_and_a_word_is_none(text, letter):
    assert extract(text, "choice") == letter


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Tom has 3 and Ann 4. In total 3 + 4 = 7 fruits.", "7"),
        ("The answer is Paris. It is the capital.", "Paris"),
        ("Answer: B) Paris", "B"),
        ("Answer: 42 apples", "42"),
        ("Paris", "Paris"),
        ("$1,200.00", "$1,200.00"),
        ("[8, 6, 4, 2]", "[8, 6, 4, 2]"),
        ("f({133: None, 563: 555})", "f({133: None, 563: 555})"),
        ("0 1 2\n1 0 1", "0 1 2\n1 0 1"),
        ("<think>is it 5? or 6</think>\n\n7", "7"),
        ("<think>is it 5? The answer is 6", None),
        ("word " * 100, None),
        ("   ", None),
    ],
)
def test_auto_picks_what_the_text_offers(text, answer):
    assert extract(text, "auto") == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Hence $x = 1$ and the result is $\\sqrt{2}$.", "\\sqrt{2}"),
        ("We get $a$ then $\\frac{\\pi}{2}$ at the end of it", "\\frac{\\pi}{2}"),
        ("\\boxed{x^{2}+1}", "x^{2}+1"),
        ("so there are 12 ways of doing it", "12"),
        ("2/9", "2/9"),
        ("He pays $12,000 (tax) + $5 = $12,005 for everything.", "$12,005"),
        ("With $x = 3$ legs each\nthe animals have 160 legs altogether.", "160"),
    ],
)
def test_a_formula_is_found(text, answer):
    assert extract(text, "math") == answer


def test_code_is_the_last_fenced_block_without_its_language():
    assert extract("First\n```python\nx = 1\n```\nthen\n```python\nprint(2)\n```\nDone", "code") == "print(2)"


def test_code_that_a_length_limit_cut_is_still_found():
    assert extract("```python\nprint(2)\nx =", "code") == "print(2)\nx ="


@pytest.mark.parametrize(
    "text", ['Sure: {"a": [1]} ok', '```json\n{"a": [1]}\n```', "[not json] {'no'} {\"a\": [1]}"]
)
def test_json_is_found_in_a_sentence_or_a_block(text):
    found = extract(text, "json")
    assert found is not None
    assert json.loads(found) == {"a": [1]}


@pytest.mark.parametrize(
    ("kind", "first", "second"),
    [
        ("number", "1,000", "1000.0"),
        ("number", "$12.50", "25/2"),
        ("number", "\\frac{3}{4}", "0.75"),
        ("number", "50%", "50"),
        ("number", "-3 apples", "−3"),
        ("number", "007", "7"),
        ("choice", "(b)", "B."),
        ("exact", " a  b\n", "a b"),
        ("math", "\\dfrac{1}{2}", "0.5"),
        ("math", "\\left( x + 1 \\right)", "(x+1)"),
        ("code", "x = 1  \n\ny = 2", "x = 1\ny = 2\n"),
        ("json", '{"b": 1.0, "a": 2}', '{ "a":2, "b":1 }'),
        ("text", "Paris.", "paris"),
        ("auto", '"abba"', "'abba'"),
        ("auto", "Paris!", "paris"),
        ("auto", "18.0", "18"),
    ],
)
def test_equal_answers_share_a_canonical_string(kind, first, second):
    assert canonical(first, kind) == canonical(second, kind)


@pytest.mark.parametrize(
    ("kind", "first", "second"),
    [
        ("number", "12", "-12"),
        ("number", "1,5", "15"),
        ("number", "1/3", "0.333"),
        ("choice", "A", "B"),
        ("exact", "f('a')", "f('A')"),
        ("auto", "f('a')", "f('A')"),
        ("auto", "'abba'", "'Abba'"),
        ("auto", "0 1 2", "0 1 3"),
        ("json", "1", "true"),
        ("code", "if x:\n    y", "if x:\ny"),
        ("math", "x+1", "x-1"),
        ("text", "a" * 300, "a" * 299 + "b"),
    ],
)
def test_different_answers_do_not(kind, first, second):
    assert canonical(first, kind) != canonical(second, kind)


@given(st.integers(-(10**15), 10**15), st.integers(1, 999))
def test_every_fraction_is_read_exactly(above, below):
    assert parse_number(f"{above}/{below}") == Fraction(above, below)
    assert parse_number(f"{above:,}") == above


@given(st.decimals(-(10**12), 10**12, allow_nan=False, allow_infinity=False, places=4))
def test_every_decimal_is_read_exactly(value):
    assert parse_number(f"{value:f}") == Fraction(value)


@pytest.mark.parametrize("text", ["1e999999999", "9" * 41, "1/0", "v1.2.3", "twelve", "", "3,5"])
def test_what_is_no_number_is_none(text):
    assert canonical_number(text) is None


@pytest.mark.parametrize("kind", sorted(ANSWER_KINDS))
@given(
    text=st.text(max_size=300) | st.text(alphabet="{}[]()$\\\"'`#<>/.,-+=0123456789 answeris:boxdfrcABC\n")
)
def test_no_text_makes_extraction_fail(kind, text):
    answer = extract(text, kind)
    assert answer is None or isinstance(canonical(answer, kind), str)


HOSTILE = (
    "1", "a", "answer is ", "\\boxed{", "(", "1,", "1 ", "[", '{"a":', "answer: ", "$", "\\frac{1}", "-", "\n", "* ",
    "\\frac   ", "1e9", "A) ", "\\( ", "```", "<answer>", "#### ", "\\", "1/", "x$1", "\ud800",
)  # fmt: skip


@pytest.mark.parametrize("kind", sorted(ANSWER_KINDS))
@pytest.mark.parametrize("piece", HOSTILE)
@pytest.mark.timeout(5)  # a pattern that backtracks over 100 kB takes minutes, the whole list here a second
def test_a_hundred_kilobytes_of_anything_are_read_in_linear_time(kind, piece):
    text = piece * (100_000 // len(piece))
    assert len(canonical(text, kind)) <= 200
    extract(text, kind)


def test_an_unknown_kind_names_the_choices():
    with pytest.raises(UnknownName, match=r"answer kind 'numbr'; choose from auto, choice"):
        extract("1", "numbr")
