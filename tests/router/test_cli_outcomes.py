"""`apportion outcome` against a running service: what is committed, corrected, and doubted."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from tests.router.cli_service import Served, asked, run, serving


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("served")) as service:
        yield service


def test_an_outcome_is_seen_at_its_decision(served):
    decision_id = asked(served)["decision_id"]
    told = run("outcome", decision_id, "correct", "false", "--source", "test", "--server", served.router)
    shown = run("decisions", decision_id, "--server", served.admin)
    assert told.output.startswith("committed, key ")
    assert re.search(r"^outcome +correct = False by test$", shown.output, re.MULTILINE)


def test_an_outcome_of_a_decision_that_is_not_known_is_committed_and_says_so(served):
    told = run("outcome", "123", "correct", "true", "--server", served.router, "--admin", served.admin)
    known = run(
        *("outcome", asked(served)["decision_id"], "correct", "true"),
        *("--server", served.router, "--admin", served.admin),
    )
    assert told.output.startswith("committed, key ")
    assert told.stderr == "but no decision '123' is known here: is its id right?\n"
    assert known.stderr == ""


def test_an_outcome_of_another_tenants_decision_says_whose_it_is(served):
    decision_id = asked(served, "--tenant", "web")["decision_id"]
    report = ("outcome", decision_id, "correct", "true", "--server", served.router, "--admin", served.admin)
    lost, counted = run(*report), run(*report, "--tenant", "web")
    assert lost.stderr.startswith(
        "but the decision is of tenant 'web', and this counts there alone: say --tenant web"
    )
    assert (counted.output.startswith("committed, key "), counted.stderr) == (True, "")


def test_a_label_that_looks_like_a_truth_value_gets_a_hint(served):
    report = ("outcome", asked(served)["decision_id"], "correct", "Yes", "--server", served.router)
    meant = run(*report, "--kind", "label", "--source", "another")
    assert run(*report).stderr.startswith("'Yes' is kept as a label; did you mean true? `--supersedes ")
    assert meant.stderr == ""


def test_an_outcome_reported_twice_is_known_already(served):
    decision_id = asked(served)["decision_id"]
    arguments = ("outcome", decision_id, "score", "0.5", "--server", served.router)
    assert run(*arguments).output.startswith("committed")
    again = run(*arguments)
    assert again.output.startswith("known already")
    assert again.stderr.startswith("what was reported first stays; `--supersedes ")


def test_a_report_is_corrected_as_the_hint_says(served):
    decision_id = asked(served)["decision_id"]
    where = ("--server", served.router)
    key = run("outcome", decision_id, "correct", "true", *where).output.split()[-1]
    assert run("outcome", decision_id, "correct", "false", *where).output.startswith("known already")
    corrected = run("outcome", decision_id, "correct", "false", "--supersedes", key, *where)
    assert corrected.output.startswith("committed")
    shown = run("decisions", decision_id, "--server", served.admin).output
    assert re.findall(r"^outcome +(.*)$", shown, re.MULTILINE) == ["correct = False"]


@pytest.mark.parametrize(
    ("value", "kind", "logged"),
    [
        ("true", None, True),
        ("0.25", None, 0.25),
        ("up", None, "up"),
        ("1", "label", "1"),
        ("no", "comment", "no"),
    ],
)
def test_an_outcome_has_the_kind_that_it_looks_like_or_that_is_said(served, value, kind, logged):
    decision_id = asked(served)["decision_id"]
    options = ("--kind", kind) if kind else ()
    run("outcome", decision_id, "seen", value, *options, "--server", served.router)
    found = json.loads(run("decisions", decision_id, "--server", served.admin, "--json").output)["outcomes"]
    assert [outcome["value"] for outcome in found] == [logged]


def test_a_value_that_is_not_of_the_kind_that_is_said_is_refused(served):
    told = run("outcome", "d", "seen", "many", "--kind", "number", "--server", served.router)
    assert (told.exit_code, told.stderr) == (1, "VALUE: wants a number, got 'many'\n")
