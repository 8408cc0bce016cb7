"""Every verifier in the table: built with no arguments, scores in [0, 1], says when it cannot judge."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError, fields, is_dataclass, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from router.answers import ANSWER_KINDS
from router.plugins import resolve
from router.verifiers import VERIFIERS, Case, Verifier

RIGHT = {"gold": Case("q", gold="B"), "references": Case("q", references=("B", "B", "C")), "": Case("q")}
LACKING = Case("q")


@pytest.fixture(params=sorted(VERIFIERS), scope="module")
def verifier(request):
    return resolve("verifier", VERIFIERS, request.param)()


def case_for(verifier: Verifier) -> tuple[Case, str]:
    """A case that the verifier can judge, and an answer that is right in it."""
    case = RIGHT[verifier.needs]
    if verifier.grade(case, "B") is None:  # it grades numbers
        return Case("q", gold="12", references=("12",)), "12"
    return case, "B"


def test_it_keeps_the_contract(verifier):
    assert isinstance(verifier, Verifier)
    assert verifier.answer_kind in ANSWER_KINDS
    assert verifier.needs in RIGHT


def test_it_is_a_frozen_dataclass(verifier):
    assert replace(verifier) == verifier
    assert is_dataclass(verifier)
    for item in fields(verifier):
        with pytest.raises(FrozenInstanceError):
            setattr(verifier, item.name, getattr(verifier, item.name))


def test_a_right_answer_passes_and_a_wrong_one_does_not(verifier):
    case, right = case_for(verifier)
    assert verifier.grade(case, right) == 1
    wrong = verifier.grade(case, "D 99")
    assert wrong is not None
    assert wrong < 1


def test_no_answer_scores_nothing(verifier):
    case, _ = case_for(verifier)
    assert verifier.grade(case, None) == 0


def test_a_case_that_lacks_what_is_needed_is_not_judged(verifier):
    if verifier.needs:
        assert verifier.grade(LACKING, "B") is None
        assert verifier.grade(LACKING, None) is None


def test_grading_twice_gives_the_same(verifier):
    case, right = case_for(verifier)
    assert verifier.grade(case, right) == verifier.grade(case, right)


def test_it_works_in_threads(verifier):
    case, right = case_for(verifier)
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: verifier.grade(case, right), range(16))) == {1}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(gold=st.text(max_size=40), answer=st.text(max_size=40))
def test_scores_of_any_texts_are_in_the_unit_interval(verifier, gold, answer):
    score = verifier.grade(Case("q", gold=gold, references=(gold,)), answer)
    assert score is None or 0 <= score <= 1


@pytest.mark.parametrize("answer", ["9^{9^{9^{9^{9}}}} + 1", "(" * 5000, "x" * 100_000, "\x00", "\ud800"])
def test_a_hostile_answer_does_not_pass(verifier, answer):
    case, _ = case_for(verifier)
    score = verifier.grade(case, answer)
    assert score is not None
    assert score < 1
