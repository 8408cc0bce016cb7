"""A real service in a process of its own, and the commands that ask it."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

from router.__main__ import commands

ROOT = Path(__file__).parents[2]
TOML = """
policy = { kind = "fixed", plan = "cascade" }
reference = "one"
untrained = "one"
[backends.small]
kind = "scripted"
script = ["The answer is 4."]
price_out = 2.0
[backends.large]
kind = "scripted"
script = ["The answer is 5."]
price_out = 8.0
[[plans]]
name = "one"
stages = [{ backend = "small" }]
[[plans]]
name = "cascade"
stages = [{ backend = "small", stop = { kind = "confident", threshold = 0.99 } }, { backend = "large" }]
[server]
listen = "127.0.0.1:0"
admin_listen = "127.0.0.1:0"
[store]
sqlite = ":memory:"
"""


@dataclass(frozen=True)
class Served:
    """A running service."""

    process: subprocess.Popen[str]
    router: str
    admin: str


def start(folder: Path, *options: str) -> Served:
    (folder / "router.toml").write_text(TOML)
    arguments = [sys.executable, "-m", "router", "serve", "--config", str(folder / "router.toml"), *options]
    process = subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.fullmatch(r"listening router=(127\.0\.0\.1:\d+) admin=(127\.0\.0\.1:\d+)\n", line)
    if found is None:
        pytest.fail(f"{line!r}, then {process.communicate()}")
    return Served(process, found[1], found[2])


@contextmanager
def serving(folder: Path) -> Iterator[Served]:
    """It runs as long as the block."""
    service = start(folder)
    yield service
    service.process.terminate()
    service.process.communicate(timeout=30)


@dataclass
class Told:
    """How a command ended."""

    exit_code: int = 0
    output: str = ""
    stderr: str = ""


def run(*arguments: str) -> Told:
    told, out, err = Told(), io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            commands().main(list(arguments), prog_name="apportion")
        except SystemExit as ended:
            told.exit_code = ended.code if isinstance(ended.code, int) else 0
    told.output, told.stderr = out.getvalue(), err.getvalue()
    return told


def asked(served: Served, *options: str) -> dict:
    told = run("ask", "What is 2 + 2?", "--server", served.router, "--json", *options)
    assert told.exit_code == 0, told.stderr
    reply: dict = json.loads(told.output)
    return reply
