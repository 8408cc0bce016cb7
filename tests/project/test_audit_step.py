"""CI asks for known weaknesses; where it cannot, it says so in its last line, and where there are some, it fails."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOWHERE = "http://127.0.0.1:9/"


class Database(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name in the parent)
        """Nothing."""


@pytest.fixture
def database() -> Iterator[str]:
    """The url of a database that is there."""
    with HTTPServer(("127.0.0.1", 0), Database) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def run(tmp_path: Path, script: str, url: str, audit: int = 0) -> subprocess.CompletedProcess[str]:
    """A script of CI where `make` only writes down what it was asked for."""
    make = tmp_path / "make"
    make.write_text(f'#!/bin/sh\necho "made: $*"\nif [ "$1" = audit ]; then exit {audit}; fi\n')
    make.chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    environ = {**os.environ, "PATH": path, "APPORTION_AUDIT_URL": url, "no_proxy": "127.0.0.1"}
    command = [str(ROOT / ".ci" / script)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environ)


def test_without_a_way_to_the_database_the_audit_is_skipped_and_not_passed(tmp_path):
    ended = run(tmp_path, "audit", NOWHERE)
    assert (ended.returncode, ended.stdout) == (75, "")
    assert ended.stderr.startswith(f"=== make audit: SKIPPED, NOT PASSED: {NOWHERE} cannot be reached (")


@pytest.mark.parametrize("audit", [0, 2])
def test_with_one_the_audit_has_the_word(tmp_path, database, audit):
    ended = run(tmp_path, "audit", database, audit)
    assert (ended.returncode, ended.stdout) == (audit, "made: audit\n"), ended.stderr


def test_the_last_line_of_ci_names_what_was_skipped(tmp_path, database):
    skipped = run(tmp_path, "run", NOWHERE)
    assert skipped.returncode == 0, skipped.stderr
    assert skipped.stdout.splitlines()[-1].endswith(", BUT SKIPPED: .ci/audit")
    whole = run(tmp_path, "run", database)
    assert whole.returncode == 0, whole.stderr
    assert whole.stdout.count("made: audit") == 1
    assert "SKIPPED" not in whole.stdout


def test_a_known_weakness_ends_ci(tmp_path, database):
    ended = run(tmp_path, "run", database, 1)
    assert ended.returncode == 1
    assert "FAILED with exit code 1" in ended.stderr
    assert "made: test" not in ended.stdout
