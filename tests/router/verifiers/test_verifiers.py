"""What each verifier calls right."""

from __future__ import annotations

import pytest

from router.domain.plan import canonical
from router.errors import ConfigError
from router.verifiers import Case
from router.verifiers.agrees import Agrees
from router.verifiers.choice import Choice
from router.verifiers.contains import Contains
from router.verifiers.exact import Exact
from router.verifiers.mathematics import Math
from router.verifiers.number import Number


@pytest.fixture(scope="module")
def mathematics():
    return Math(limit_s=5.0)


@pytest.mark.parametrize(
    ("gold", "answer", "score"), [("a b", " a  b\n", 1), ("a b", "A b", 0), ("12", "12.0", 0)]
)
def test_exact_minds_everything_but_white_space(gold, answer, score):
    assert Exact().grade(Case("q", gold), answer) == score


@pytest.mark.parametrize(
    ("gold", "answer", "score"),
    [
        ("1000", "$1,000.00", 1),
        ("work\n#### 540", "540 meters", 1),
        ("0.75", "3/4", 1),
        ("1", "1.0000001", 1),
        ("1", "1.001", 0),
        ("0", "0.0000000001", 1),
        ("7", "seven", 0),
        ("-7", "7", 0),
        ("seven", "7", None),
    ],
)
def test_numbers_are_compared_by_value(gold, answer, score):
    assert Number().grade(Case("q", gold), answer) == score


def test_a_wider_tolerance_lets_more_numbers_pass():
    assert Number(relative=0.01).grade(Case("q", "100"), "100.9") == 1


@pytest.mark.parametrize(
    "wrong", [{"relative": -1.0}, {"relative": float("nan")}, {"absolute": float("inf")}]
)
def test_a_tolerance_out_of_range_is_refused(wrong):
    with pytest.raises(ConfigError, match="must be"):
        Number(**wrong)


@pytest.mark.parametrize(
    ("gold", "answer", "score"), [("B", "(b)", 1), ("(B)", "B. Paris", 1), ("B", "C", 0)]
)
def test_choices_are_compared_by_letter(gold, answer, score):
    assert Choice().grade(Case("q", gold), answer) == score


def test_a_gold_text_that_is_no_letter_is_not_graded_as_a_choice():
    assert Choice().grade(Case("q", "Paris"), "A") is None


@pytest.mark.parametrize(
    ("gold", "answer", "score"),
    [
        ("Paris", "It is paris, of course.", 1),
        ("art", "It is a party", 0),
        ("New York.", "in New\nYork now", 1),
    ],
)
def test_contains_looks_for_whole_words(gold, answer, score):
    assert Contains().grade(Case("q", gold), answer) == score


@pytest.mark.parametrize(
    ("gold", "answer", "score"),
    [
        ("2\\sqrt{2}", "\\sqrt{8}", 1),
        ("$\\frac{1}{2}$", "0.5", 1),
        ("x+1", "1+x", 1),
        ("x+1", "x-1", 0),
        ("36.0", "36", 1),
        ("3", "4", 0),
    ],
)
def test_mathematics_is_compared_by_meaning(mathematics, gold, answer, score):
    assert mathematics.grade(Case("q", gold), answer) == score


def test_agreement_is_with_the_majority_of_the_references():
    case = Case("q", references=("12", "13", "12.0"))
    assert Agrees().grade(case, "$12") == 1
    assert Agrees().grade(case, "13") == 0


def test_of_equally_frequent_references_the_first_counts():
    assert Agrees().grade(Case("q", references=("b", "a")), "b") == 1


def test_a_verifier_in_a_plan_is_part_of_its_digest_by_its_options_alone(mathematics):
    mathematics.grade(Case("q", "x+1"), "1+x")  # its process runs
    assert canonical(mathematics) == {"": "Math", "limit_s": 5.0}
