"""Every verifier in the table: built with no arguments, scores in [0, 1], says when it cannot judge."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError, fields, is_dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from router.answers import ANSWER_KINDS
from router.plugins import resolve
from router.verifiers import VERIFIERS, Case, Verifier

RIGHT = {"gold": Case("q", gold="B"), "references": Case("q", references=("B", "B", "C")), "": Case("q")}
LACKING = Case("q")


class Judging(BaseHTTPRequestHandler):
    """Both a user's own service that wants "B", and a model that prefers the answer "B"."""

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if "messages" in asked:
            first, second = (
                part.split("\n")[2] == "B" for part in asked["messages"][1]["content"].split("answer:")[1:]
            )
            word = "TIE" if first == second else "FIRST" if first else "SECOND"
            said = {"choices": [{"message": {"content": word}}]}
        else:
            said = {"pass": asked["answer"] == "B"}
        body = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def service():
    with ThreadingHTTPServer(("127.0.0.1", 0), Judging) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture(params=sorted(VERIFIERS), scope="module")
def verifier(request, service):
    """Each with what it cannot do without."""
    options = {
        "regex": {"pattern": "B"},
        "http": {"url": service},
        "judge": {"url": service, "model": "m"},
        "unit_tests": {"tests": "assert True", "weak": True},  # the answers here are harmless
    }
    return resolve("verifier", VERIFIERS, request.param)(**options.get(request.param, {}))


@pytest.mark.parametrize("name", sorted(VERIFIERS))
def test_it_is_built_without_arguments_and_then_judges_nothing_if_it_requires_some(name):
    kind = resolve("verifier", VERIFIERS, name)
    built = kind()
    if any(item.metadata.get("required") for item in fields(kind)):
        assert built.grade(Case("q", "B", ("B",)), "B") is None


def case_for(verifier: Verifier) -> tuple[Case, str]:
    """A case that the verifier can judge, and an answer that is right in it."""
    case = RIGHT[verifier.needs]
    if verifier.grade(case, "B") == 1:
        return case, "B"
    if verifier.needs == "references":  # it prefers
        return Case("q", references=("C",)), "B"
    return Case("q", gold="12", references=("12",)), "12"  # it grades numbers, or JSON


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


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
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
