"""The commands that talk to a running service, against a real one in a process of its own."""

from __future__ import annotations

import io
import json
import re
import signal
import sys
from collections.abc import Iterator

import pytest

from tests.router.cli_service import TOML, Served, asked, run, serving, start


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("served")) as service:
        yield service


def test_ask_prints_the_answer_and_nothing_else_on_standard_output(served):
    told = run("ask", "What is 2 + 2?", "--server", served.router)
    assert told.output == "The answer is 5.\n"


def test_ask_shows_the_decision_on_standard_error(served):
    told = run("ask", "What is 2 + 2?", "--server", served.router)
    assert re.search(r"^plan +cascade \(probability 1\)$", told.stderr, re.MULTILINE)
    assert re.search(r"^ +large +\$0\.000032 \(1 sample, ", told.stderr, re.MULTILINE)
    assert "no bundle" in told.stderr


def test_ask_serves_the_plan_that_is_asked_for(served):
    assert asked(served, "--plan", "one")["answers"][0]["text"] == "The answer is 4."


def test_ask_streams_the_committed_answer(served):
    told = run("ask", "What is 2 + 2?", "--server", served.router, "--stream")
    assert told.output == "The answer is 5.\n"


def test_ask_streams_events_as_json_lines(served):
    told = run("ask", "What is 2 + 2?", "--server", served.router, "--stream", "--json")
    events = [json.loads(line) for line in told.output.splitlines()]
    assert (events[0]["event"], events[-1]["event"]) == ("Started", "Done")
    text = "".join(event["text"] for event in events if event["event"] == "AnswerDelta")
    assert text == events[-1]["reply"]["answers"][0]["text"]


def test_ask_reads_the_query_from_standard_input(served, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("What is 2 + 2?"))
    assert run("ask", "-", "--server", served.router).output == "The answer is 5.\n"


def test_ask_with_a_cost_that_no_plan_keeps_says_why(served):
    told = run("ask", "What?", "--server", served.router, "--max-dollars", "0.000001")
    assert told.exit_code == 1
    assert told.stderr.startswith(f"{served.router}: ")
    assert "max_cost" in told.stderr
    assert "Traceback" not in told.stderr


def test_an_unknown_plan_is_named_with_the_choices(served):
    told = run("ask", "What?", "--server", served.router, "--plan", "two")
    assert told.exit_code == 1
    assert "unknown plan 'two'; allowed: cascade, one" in told.stderr


def test_metadata_without_a_value_is_refused(served):
    told = run("ask", "What?", "--server", served.router, "--metadata", "k")
    assert (told.exit_code, told.stderr) == (1, "--metadata: wants KEY=VALUE, got 'k'\n")


def test_metadata_is_logged(served):
    decision_id = asked(served, "--metadata", "kind=sum")["decision_id"]
    logged = json.loads(run("decisions", decision_id, "--server", served.admin, "--json").output)
    assert logged["metadata"] == {"kind": "sum"}


def test_the_other_services_port_is_named(served):
    assert (
        "another service is there; this command asks the Admin service"
        in run("status", "--server", served.router).stderr
    )
    assert (
        "this command asks the Router service, at `listen`"
        in run("ask", "hi", "--server", served.admin).stderr
    )


def test_decisions_lists_the_latest_first(served):
    first, second = asked(served)["decision_id"], asked(served)["decision_id"]
    rows = run("decisions", "--count", "2", "--server", served.admin).output.splitlines()
    assert [row.split()[0] for row in rows] == ["DECISION", second, first]


def test_decisions_as_json_are_one_object_per_line(served):
    asked(served)
    asked(served)
    rows = run("decisions", "-n", "2", "--json", "--server", served.admin).output.splitlines()
    assert [json.loads(row)["decision"]["plan"] for row in rows] == ["cascade", "cascade"]


def test_an_unknown_decision_is_one_line(served):
    told = run("decisions", "nope", "--server", served.admin)
    assert (told.exit_code, told.stderr) == (1, f"{served.admin}: unknown decision 'nope'\n")


def test_plans_shows_the_menu_and_which_is_the_reference(served):
    rows = [row.split() for row in run("plans", "--server", served.admin).output.splitlines()]
    assert [row[0] for row in rows] == ["PLAN", "one", "cascade"]
    assert rows[1][1] == "(reference)"


def test_plans_of_a_service_have_the_digests_that_check_shows(served, tmp_path):
    (tmp_path / "router.toml").write_text(TOML)
    checked = json.loads(run("check", str(tmp_path / "router.toml"), "--json").output)["plans"]
    live = json.loads(run("plans", "--server", served.admin, "--json").output)
    assert {plan["name"]: plan["digest"] for plan in live} == {n: p["digest"] for n, p in checked.items()}


def test_backends_shows_prices(served):
    assert re.search(
        r"large +scripted  0 / 0 / 8 .*enabled", run("backends", "--server", served.admin).output
    )


def test_a_backend_is_taken_out_of_service_and_back(served):
    def state() -> str:
        found = json.loads(run("backends", "--json", "--server", served.admin).output)
        return str({backend["name"]: backend["state"] for backend in found}["large"])

    told = run("backends", "large", "drain", "--server", served.admin)
    assert (told.output, state()) == ("backend large: draining, 0 samples in flight\n", "drain")
    status = run("status", "--server", served.admin).output
    assert re.search(r"^degraded .*backend 'large' is drained by an operator", status, re.MULTILINE)
    assert "\nbackend 'large' is drained by an operator\n" in run("backends", "--server", served.admin).output
    run("backends", "large", "enable", "--server", served.admin)
    assert state() == "enable"
    assert "drained" not in run("backends", "--server", served.admin).output


def test_a_backend_that_is_not_there_and_a_state_that_is_not_said_are_one_line(served):
    told = run("backends", "huge", "drain", "--server", served.admin)
    assert told.exit_code == 1
    assert told.stderr == f"{served.admin}: unknown backend 'huge'; choose from large, small\n"
    told = run("backends", "large", "--server", served.admin)
    assert (told.exit_code, "say enable, drain or disable" in told.stderr) == (1, True)


def test_status_says_what_is_degraded(served):
    told = run("status", "--server", served.admin)
    assert re.search(r"^degraded +no bundle", told.output, re.MULTILINE)


def test_mode_bypass_serves_the_reference_plan_until_it_is_set_back(served):
    told = run("mode", "bypass", "--server", served.admin)
    bypassed = asked(served)["decision"]
    back = run("mode", "apply", "--server", served.admin)
    assert (told.output, back.output) == ("mode bypass, was apply\n", "mode apply, was bypass\n")
    assert (bypassed["plan"], bypassed["mode"]) == ("one", "bypass")
    assert asked(served)["decision"]["plan"] == "cascade"


def test_a_rule_is_said_as_it_is_listed_and_ends_with_a_share_of_0(served):
    of_search = ("--tenant", "search", "--server", served.admin)
    told = run("mode", "observe", "--share", "0.05", *of_search)
    listed = run("mode", "--server", served.admin).output
    status = run("status", "--server", served.admin).output
    ended = run("mode", "apply", "--share", "0", *of_search)
    assert told.output == "tenant search, 5 % of sessions: observe, was apply\n"
    assert listed == "mode    apply\n  rule  tenant search, 5 % of sessions: observe\n"
    assert re.search(r"^  rule +tenant search, 5 % of sessions: observe$", status, re.MULTILINE)
    assert ended.output == "tenant search: no rule now, was observe\n"
    assert run("mode", "--server", served.admin).output == "mode  apply\n"


def test_status_says_that_an_operator_set_another_mode_and_how_it_ends(served):
    run("mode", "bypass", "--server", served.admin)
    status = run("status", "--server", served.admin).output
    run("mode", "apply", "--server", served.admin)
    said = r"^mode +bypass \(set by an operator at .+ UTC, overrides the configured apply; `apportion mode apply` ends it\)$"
    assert re.search(said, status, re.MULTILINE)
    assert "operator" not in run("status", "--server", served.admin).output


def test_a_server_that_is_not_there_is_one_line_that_asks_the_right_question(monkeypatch):
    monkeypatch.setenv("APPORTION_WAIT", "0")
    told = run("status", "--server", "127.0.0.1:1")
    assert told.exit_code == 1
    assert told.stderr == "127.0.0.1:1: nothing listens there (is `apportion serve` running there?)\n"


def test_serve_ends_with_code_0_on_sigterm(tmp_path):
    service = start(tmp_path, "--mode", "observe", "--log", "json")
    mode = json.loads(run("status", "--server", service.admin, "--json").output)["mode"]
    service.process.send_signal(signal.SIGTERM)
    _, err = service.process.communicate(timeout=30)
    assert (service.process.returncode, mode) == (0, "observe")
    assert [json.loads(line)["event"] for line in err.splitlines()] == ["serving", "draining"]
