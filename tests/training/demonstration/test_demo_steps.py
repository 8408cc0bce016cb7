"""What the demo says while it runs, on a terminal and without one, and how it calls itself at its end."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from training.demo import NEXT, command
from training.demonstration import steps as told
from training.demonstration.steps import Steps, shown_steps


def test_every_step_is_a_line_with_what_is_left() -> None:
    said: list[str] = []
    clock = iter([10.0, 10.0, 10.0, 30.0, 95.0])
    steps = Steps(6, 40, said.append, monotonic_s=lambda: next(clock))
    with steps.doing("fitting split 1", "split 1 is fitted"):
        pass
    steps.query()
    with steps.doing("scoring split 1", "split 1 is scored", 2):
        pass
    assert said == [
        "0:00 split 1 is fitted; 1 of 6 steps, 0 of 40 queries",
        "1:25 split 1 is scored; 3 of 6 steps, 1 of 40 queries",
    ]


def test_what_takes_long_says_what_it_is_and_how_long_it_takes() -> None:
    said: list[str] = []
    clock = iter([0.0, 5.0, 10.0, 80.0, 80.0, 90.0, 90.0])
    steps = Steps(6, 40, said.append, monotonic_s=lambda: next(clock))
    with (
        steps.doing("fitting split 1", "split 1 is fitted"),
        steps.doing("fitting split 2", "split 2 is fitted"),
    ):
        steps.still()
        assert said.pop() == (
            "1:20 fitting split 1 for 1:15, fitting split 2 for 1:10; 0 of 6 steps, 0 of 40 queries"
        )


def test_what_fails_is_not_done_nor_under_way() -> None:
    said: list[str] = []
    steps = Steps(6, 40, said.append, monotonic_s=lambda: 0.0)
    with pytest.raises(ValueError, match="no"), steps.doing("fitting split 1", "split 1 is fitted"):
        raise ValueError("no")
    steps.still()
    assert said == ["0:00 still at it; 0 of 6 steps, 0 of 40 queries"]


def test_silence_is_broken_again_and_again(monkeypatch) -> None:
    monkeypatch.setattr(told, "SILENT_S", 0.01)
    written = io.StringIO()
    console = Console(file=written, width=110)
    with shown_steps("demo", 3, 5, console) as steps, steps.doing("doing all", "all is done", 3):
        while written.getvalue().count("doing all for 0:00; 0 of 3 steps") < 2:
            pass
    assert "all is done; 3 of 3 steps, 0 of 5 queries" in written.getvalue()


def test_a_terminal_gets_bars_and_no_lines() -> None:
    written = io.StringIO()
    with shown_steps("demo", 3, 5, Console(file=written, force_terminal=True, width=110)) as steps:
        with steps.doing("fitting split 1", "split 1 is fitted", 2):
            pass
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
