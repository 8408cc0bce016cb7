"""CI asks for known weaknesses and says in its last line if it could not; it names a test that needed a second try."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ANSWERS = """echo '{"dependencies": []}'"""
SILENT = "echo 'no route to host' >&2; exit 1"


def run(
    tmp_path: Path, script: str, database: str, audit: int = 0, more: str = ""
) -> subprocess.CompletedProcess[str]:
    """A script of CI where `make` only writes down what it was asked for, and the database is as it is said."""
    made = f'echo "made: $*"\nif [ "$1" = audit ]; then exit {audit}; fi\n{more}\n'
    for name, body in (("make", made), ("pip-audit", database)):
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    own = {"PIP_AUDIT": str(tmp_path / "pip-audit"), "PYTEST_CACHE": str(tmp_path)}
    environ = {**os.environ, "PATH": path, **own}
    command = [str(ROOT / ".ci" / script)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environ)


def test_without_a_way_to_the_database_the_audit_is_skipped_and_not_passed(tmp_path):
    ended = run(tmp_path, "audit", SILENT)
    assert (ended.returncode, ended.stdout) == (75, "")
    assert ended.stderr.startswith(
        "=== make audit: SKIPPED, NOT PASSED: the database of known weaknesses did not"
    )
    assert ended.stderr.endswith(": no route to host\n")


@pytest.mark.parametrize("audit", [0, 2])
def test_with_one_the_audit_has_the_word(tmp_path, audit):
    ended = run(tmp_path, "audit", ANSWERS, audit)
    assert (ended.returncode, ended.stdout) == (audit, "made: audit\n"), ended.stderr


def test_bad_news_are_an_answer(tmp_path):
    ended = run(tmp_path, "audit", f"{ANSWERS}; exit 1", 1)
    assert (ended.returncode, ended.stdout) == (1, "made: audit\n")


def test_the_last_line_of_ci_names_what_was_skipped(tmp_path):
    skipped = run(tmp_path, "run", SILENT)
    assert skipped.returncode == 0, skipped.stderr
    assert skipped.stdout.splitlines()[-1].endswith(", BUT SKIPPED: .ci/audit")
    whole = run(tmp_path, "run", ANSWERS)
    assert whole.returncode == 0, whole.stderr
    assert whole.stdout.count("made: audit") == 1
    assert "SKIPPED" not in whole.stdout


def test_a_known_weakness_ends_ci(tmp_path):
    ended = run(tmp_path, "run", ANSWERS, 1)
    assert ended.returncode == 1
    assert "FAILED with exit code 1" in ended.stderr
    assert "made: test" not in ended.stdout


FAILS_ONCE = """if [ "$1" = test ] && [ -z "$ARGS$3" ]; then exit 2; fi"""
FAILS_TWICE = """if [ "$1" = test ]; then exit 2; fi"""


def remember(tmp_path: Path, *failed: str) -> None:
    cache = tmp_path / "v" / "cache"
    cache.mkdir(parents=True)
    (cache / "lastfailed").write_text(json.dumps(dict.fromkeys(failed, True)))


def test_a_test_that_passes_when_it_is_run_alone_is_named_in_the_last_line(tmp_path):
    remember(tmp_path, "tests/test_a.py::test_b")
    ended = run(tmp_path, "run", ANSWERS, more=FAILS_ONCE)
    assert ended.returncode == 0, ended.stderr
    assert "made: test JOBS=1 ARGS=--last-failed" in ended.stdout
    assert ended.stdout.splitlines()[-1].endswith(", BUT UNSTEADY: tests/test_a.py::test_b")


@pytest.mark.parametrize(
    ("failed", "more"),
    [
        pytest.param(["one"], FAILS_TWICE, id="it fails again"),
        pytest.param(["one", "two", "three", "four"], FAILS_ONCE, id="too many for an accident"),
        pytest.param([], FAILS_ONCE, id="no test is known that failed"),
    ],
)
def test_what_is_no_accident_ends_ci(tmp_path, failed, more):
    remember(tmp_path, *failed)
    ended = run(tmp_path, "run", ANSWERS, more=more)
    assert ended.returncode == 1
    assert "tests test: FAILED with exit code 1" in ended.stderr
    assert "made: test-vllm" not in ended.stdout
