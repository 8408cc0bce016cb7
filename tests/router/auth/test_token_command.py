"""`apportion token`, and the commands that need one: the token comes from the environment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from router.auth.guard import Guard
from router.auth.identity import Identity, Role


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "router", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, **environ}
    )


def test_the_token_that_is_shown_is_the_one_whose_hash_the_file_gets(tmp_path: Path):
    made = run("token", "search", "--role", "operator", "--until", "2199-01-01")
    assert made.returncode == 0, made.stderr
    token = made.stderr.split()[-1]
    assert token not in made.stdout
    path = tmp_path / "tokens.toml"
    path.write_text(made.stdout)
    assert Guard(path).caller(f"Bearer {token}") == Identity("search", Role.OPERATOR)


def test_an_end_that_is_no_time_is_refused():
    refused = run("token", "search", "--until", "soon")
    assert refused.returncode != 0
    assert refused.stderr.startswith("the token: until wants")
