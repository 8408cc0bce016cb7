"""What the demo says while it runs, on a terminal and without one, and how it calls itself at its end."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from training.demo import NEXT, command
from training.demonstration import steps as told
from training.demonstration.steps import Steps, shown_steps


def test_every_step_is_a_line_with_what_is_left() -> None:
    said: list[str] = []
    clock = iter([10.0, 10.0, 95.0])
    steps = Steps(6, 40, said.append, monotonic_s=lambda: next(clock))
    steps.did("split 1 is fitted")
    steps.query()
    steps.did("split 1 is scored", 2)
    assert said == [
        "0:00 split 1 is fitted; 1 of 6 steps, 0 of 40 queries",
        "1:25 split 1 is scored; 3 of 6 steps, 1 of 40 queries",
    ]


def test_silence_is_broken_again_and_again(monkeypatch) -> None:
    monkeypatch.setattr(told, "SILENT_S", 0.01)
    written = io.StringIO()
    with shown_steps("demo", 3, 5, Console(file=written, width=110)) as steps:
        while written.getvalue().count("still at it; 0 of 3 steps") < 2:
            pass
        steps.did("all is done", 3)
    assert written.getvalue().rstrip().endswith("all is done; 3 of 3 steps, 0 of 5 queries")


def test_a_terminal_gets_bars_and_no_lines() -> None:
    written = io.StringIO()
    with shown_steps("demo", 3, 5, Console(file=written, force_terminal=True, width=110)) as steps:
        steps.did("split 1 is fitted", 2)
        steps.query()
    assert "queries answered by the server" in written.getvalue()
    assert "2/3" in written.getvalue()
    assert "2 of 3 steps" not in written.getvalue()


def test_it_is_called_as_it_can_be_called_from_here() -> None:
    here = Path("/there/apportion")
    assert command(here, here / ".venv" / "bin" / "python", "/usr/bin/apportion") == ".venv/bin/apportion"
    assert command(Path("/"), Path("/away/bin/python"), None) == "away/bin/apportion"
    assert command(here, Path("/away/bin/python"), None) == "/away/bin/apportion"
    assert command(here, Path("/away/bin/python"), "/away/bin/apportion") == "apportion"


def test_its_last_words_open_the_console() -> None:
    said = NEXT.format(apportion="apportion", out="demo-out", query="Add 7 and 5.")
    assert "--http-listen 127.0.0.1:8080" in said
    assert "http://127.0.0.1:8080/console/" in said
