"""`apportion` as its users run it: help, checks, errors in one line, exit codes."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog

from router.__main__ import commands
from router.command_group import CommandGroup, available, command_line, first_line
from router.commands import COMMANDS
from router.errors import UnknownName
from router.stopping import STOPPING_RULES
from training.commands import COMMANDS as TRAINING

ROOT = Path(__file__).parents[2]
GOOD = """
[backends.small]
kind = "scripted"
price_out = 2.0
max_tokens = 100
[[plans]]
name = "one"
stages = [{ backend = "small" }]
[[plans]]
name = "vote"
stages = [{ backend = "small", max_samples = 3, stop = "agreement" }]
"""
BAD = GOOD.replace('"agreement"', '"agrement"').replace("2.0", '"2 $"')


@dataclass
class Told:
    """How a command ended."""

    exit_code: int = 0
    output: str = ""
    stderr: str = ""
    exception: Exception | None = None


def run(*arguments: str, group: CommandGroup | None = None) -> Told:
    told, out, err = Told(), io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            (group or commands()).main(list(arguments), prog_name="apportion")
        except SystemExit as ended:
            told.exit_code = ended.code if isinstance(ended.code, int) else 0
        except Exception as error:  # noqa: BLE001 (what a command did not expect)
            told.exception = error
    told.output, told.stderr = out.getvalue(), err.getvalue()
    return told


@pytest.fixture
def good(tmp_path) -> str:
    (tmp_path / "good.toml").write_text(GOOD)
    return str(tmp_path / "good.toml")


@pytest.fixture
def bad(tmp_path) -> str:
    (tmp_path / "bad.toml").write_text(BAD)
    return str(tmp_path / "bad.toml")


# ------------------------------------------------------------------------------------------------ the group


@pytest.mark.parametrize("name", sorted(available(COMMANDS | TRAINING)))
def test_every_command_has_a_line_in_the_help_and_a_help_of_its_own(name):
    line = first_line((COMMANDS | TRAINING)[name])
    listed, own = run("--help"), run(name, "--help")
    assert line
    assert name in listed.output
    assert (own.exit_code, own.stderr) == (0, "")
    assert line.split()[0] in own.output


def test_the_help_imports_no_command():
    heavy = "grpc, google.protobuf, numpy, aiohttp, pyarrow, sklearn, router.assemble, router.commands.check"
    code = (
        "import sys; from router.__main__ import commands\n"
        "commands().main(['--help'], standalone_mode=False)\n"
        f"sys.exit(', '.join(set({heavy!r}.split(', ')) & set(sys.modules)) or None)"
    )
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (told.returncode, told.stderr) == (0, "")


@pytest.mark.parametrize("module", ["router", "training"])
def test_both_modules_are_the_same_command_line(module):
    told = subprocess.run(
        [sys.executable, "-m", module, "--help"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert told.returncode == 0
    assert told.stdout == run("--help").output


def test_a_command_whose_module_is_not_there_is_not_listed():
    assert available({"fly": "router.commands.fly:fly", "check": COMMANDS["check"]}) == {
        "check": COMMANDS["check"]
    }


def test_a_command_whose_function_is_not_there_is_not_listed():
    assert available({"check": "router.commands.check:chekc"}) == {}


def test_an_unknown_command_is_answered_with_the_nearest():
    told = run("chek")
    assert told.exit_code == 2
    assert "Did you mean 'check'?" in told.stderr


def test_version_names_the_distribution():
    assert run("version").output.startswith("apportion 0.")
    assert re.fullmatch(r"apportion 0\.\S+\n", run("--version").output)


@pytest.mark.parametrize(
    ("arguments", "words"), [(("token",), "[auth] tokens"), (("mode",), "[[modes]]"), ((), "[auth] tokens")]
)
def test_what_stands_in_brackets_is_no_markup_of_the_help(arguments, words):
    shown = " ".join(run(*arguments, "--help").output.replace("│", "").split())
    assert words in shown


# ------------------------------------------------------------------------------------------------ errors


@pytest.fixture
def failing(tmp_path, monkeypatch):
    """A command line with one command that raises what it is told to."""

    def made(raised: str):
        source = f'from router.errors import *\n\ndef fail() -> None:\n    """Fail."""\n    {raised}\n'
        (tmp_path / "failing_command.py").write_text(source)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "failing_command", raising=False)
        return command_line(
            "apportion", "about", {"Serving": {"fail": "failing_command:fail"}}, (UnknownName,)
        )

    return made


def test_an_expected_error_is_one_line_and_exit_code_1(failing):
    told = run("fail", group=failing("raise UnknownName('plan', 'b', ('a',))"))
    assert (told.exit_code, told.stderr) == (1, "unknown plan 'b'; choose from a\n")


def test_debug_shows_where_an_expected_error_comes_from(failing):
    told = run("--debug", "fail", group=failing("raise UnknownName('plan', 'b', ('a',))"))
    assert isinstance(told.exception, UnknownName)


def test_a_bug_is_not_dressed_up(failing):
    told = run("fail", group=failing("raise ZeroDivisionError"))
    assert isinstance(told.exception, ZeroDivisionError)


def test_a_missing_library_is_named_with_the_extra(failing):
    told = run("fail", group=failing("import no_such_library"))
    assert told.exit_code == 1
    assert "no_such_library" in told.stderr
    assert "'.[train]' in the checkout" in told.stderr


def test_a_missing_file_is_named(failing):
    told = run("fail", group=failing("open('/no/such/file')"))
    assert (told.exit_code, told.stderr) == (1, "/no/such/file: No such file or directory\n")


def test_a_systems_error_is_told_without_its_number_and_with_its_file_once(tmp_path):
    told = run("allocate", "/no/such.jsonl", "--out", str(tmp_path / "out"))
    assert (told.exit_code, told.stderr) == (1, "/no/such.jsonl: No such file or directory\n")


def test_a_file_of_tokens_that_is_not_there_is_told_in_words(good):
    Path(good).write_text(GOOD + '[auth]\ntokens = "tokens.toml"\n')
    told = run("check", good)
    assert told.exit_code == 1
    assert told.stderr.endswith("tokens.toml: No such file or directory\n")


# ------------------------------------------------------------------------------------------------ check


def test_check_names_every_problem_and_exits_with_1(bad):
    told = run("check", bad)
    rules = ", ".join(sorted(STOPPING_RULES))
    assert told.exit_code == 1
    assert told.stderr.splitlines() == [
        f"{bad}:4: backends.small.price_out: wants a number ($ per 1M tokens) from 0 to 1000000, got '2 $'; write 2",
        (
            f"{bad}:11: plans[1].stages[0].stop: unknown stopping rule 'agrement' (did you mean 'agreement'?); "
            f"choose from {rules}"
        ),
    ]


def test_serve_says_the_same_as_check_and_does_not_start(bad):
    assert run("serve", "--config", bad).stderr == run("check", bad).stderr
    assert run("serve", "--config", bad).exit_code == 1


def test_check_as_json_has_the_same_problems(bad):
    told = run("check", bad, "--json")
    found = json.loads(told.output)
    assert told.exit_code == 1
    assert found["ok"] is False
    assert [(row["line"], row["key"]) for row in found["problems"]] == [
        (4, "backends.small.price_out"),
        (11, "plans[1].stages[0].stop"),
    ]


def test_a_file_for_another_machine_can_be_checked(tmp_path):
    (tmp_path / "router.toml").write_text(GOOD + '[store]\nsqlite = "/no/such/folder/rows.db"\n')
    here = run("check", str(tmp_path / "router.toml"))
    elsewhere = run("check", str(tmp_path / "router.toml"), "--elsewhere")
    assert (here.exit_code, elsewhere.exit_code) == (1, 0)


def test_check_of_something_that_is_not_toml_is_json_too(tmp_path):
    (tmp_path / "x.toml").write_text("a = [")
    told = run("check", str(tmp_path / "x.toml"), "--json")
    assert told.exit_code == 1
    assert "x.toml:1: is not TOML" in json.loads(told.output)["problems"][0]["text"]


def test_check_of_a_good_file_shows_plans_digests_and_worst_cases(good):
    found = json.loads(run("check", good, "--json").output)
    assert found["ok"] is True
    assert found["reference"] == "one"
    assert found["plans"]["one"]["commit"] == "first_token"
    assert found["plans"]["vote"]["commit"] == "at_end"
    assert found["plans"]["one"]["worst_case_dollars"] == pytest.approx(100 * 2.0 / 1e6)
    assert found["plans"]["vote"]["worst_case_dollars"] == pytest.approx(3 * 100 * 2.0 / 1e6)


def test_check_of_a_good_file_reads_well(good):
    told = run("check", good)
    assert told.exit_code == 0
    assert "can be served" in told.output
    assert "small: up to 3 samples, 1 at a time, stop agreement(needed=3), select majority" in told.output


def test_check_and_the_start_doubt_a_price_of_another_unit(good, tmp_path):
    path = tmp_path / "dear.toml"
    path.write_text(GOOD.replace("price_out = 2.0", "price_out = 80_000"))
    told = run("check", str(path))
    assert told.exit_code == 0
    assert "price_out = 80000 is $80,000 per 1M tokens" in told.stderr
    assert len(json.loads(run("check", str(path), "--json").output)["doubts"]) == 1
    assert json.loads(run("check", good, "--json").output)["doubts"] == []
    (tmp_path / "none.db").write_text("no store: serving ends here")
    path.write_text(path.read_text() + '[store]\nsqlite = "none.db"\n')
    try:
        assert "a price is hardly meant so" in run("serve", "--config", str(path)).stderr
    finally:
        structlog.reset_defaults()


def test_check_and_the_service_give_a_plan_the_same_digest(good):
    from router.configuration.build_plans import build_plans
    from router.configuration.file import load

    found = json.loads(run("check", good, "--json").output)["plans"]
    assert {name: plan["digest"] for name, plan in found.items()} == {
        name: plan.digest for name, plan in build_plans(load(Path(good))).items()
    }


# ------------------------------------------------------------------------------------------------ serve's options


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--listen", "50051"), "--listen: wants HOST:PORT"),
        (("--admin-listen", "0.0.0.0:1"), "--admin-listen: '0.0.0.0:1' can be reached from other machines"),
        (("--bundle", "/no/such/bundle"), "--bundle: there is no folder /no/such/bundle"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_a_wrong_option_of_serve_is_named(good, options, words):
    told = run("serve", "--config", good, *options)
    assert told.exit_code == 1
    assert words in told.stderr


def test_a_mode_on_the_command_line_holds_for_everybody(tmp_path):
    from router.commands.serve import overridden
    from router.configuration.file import load

    (tmp_path / "router.toml").write_text(GOOD + '[[modes]]\nmode = "apply"\ntenant = "a"\n')
    chosen = overridden(load(tmp_path / "router.toml"), mode="bypass")
    assert (chosen.mode, chosen.modes) == ("bypass", ())


@pytest.mark.parametrize(
    ("server", "words"),
    [
        ("http://127.0.0.1:50051/", "got 'http://127.0.0.1:50051/'; write 127.0.0.1:50051"),
        ("localhost", "wants HOST:PORT, got 'localhost'"),
        ("127.0.0.1:99999", "a port is from 1 to 65535, got '127.0.0.1:99999'"),
    ],
)
def test_what_is_no_address_is_refused_at_once(server, words):
    for command in (("ask", "hi"), ("status",)):
        assert words in run(*command, "--server", server).stderr


def test_a_reader_that_has_enough_is_no_error():
    reads, writes = os.pipe()
    os.close(reads)
    command = [sys.executable, "-m", "router", "metrics"]
    found = subprocess.run(command, check=False, stdout=writes, stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(writes)
    assert (found.returncode, found.stderr) == (1, "")


def test_what_a_locale_cannot_write_is_replaced_and_ends_no_command():
    plain = os.environ | {"PYTHONIOENCODING": "ascii"}
    found = subprocess.run(
        [sys.executable, "-m", "router", "outcome", "--help"],
        check=True,
        env=plain,
        capture_output=True,
        timeout=60,
    )
    assert found.stdout.isascii()
