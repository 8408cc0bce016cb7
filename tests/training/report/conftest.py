"""Stores written as a server writes them, and the command that reports on them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from router.decisions.sqlite import SQLite
from router.domain.decision import Decision, Mode, Outcome
from router.shadow import AGREES, SHADOW_OF, SHADOW_RUN
from training.report.command import report

NOW = 1_800_000_000.0


def row(number: int, **more: Any) -> Decision:
    """An observed query; apply would have drawn `small` with probability .8."""
    made = Decision(
        decision_id=f"d{number}",
        request_id=f"r{number}",
        replica="test",
        sequence=number,
        created_at=NOW + number,
        tenant="default",
        session_id="",
        mode=Mode.OBSERVE,
        policy="reference",
        bundle="b1",
        price=1.0,
        plan="large",
        digest="l",
        propensity=1.0,
        probabilities={"small": 0.8, "large": 0.2},
        digests={"small": "s", "large": "l"},
        explored=False,
        usable=False,
        unusable_reason="mode observe",
        would_plan="small",
        would_propensity=0.8,
        answer="4",
        confidence=0.7,
        cost=1000.0,
        latency_s=1.0,
        forecasts={"small": (0.7, 100.0), "large": (0.8, 1000.0)},
    )
    return replace(made, **more)


def shadow(number: int, agrees: str = "yes", **more: Any) -> Decision:
    """The shadow run of `row(number)`; `agrees` "": there was nothing to compare."""
    made = replace(
        row(number),
        decision_id=f"d{number}-shadow",
        request_id="",
        replica="test/shadow",
        plan="small",
        digest="s",
        cost=150.0,
        unusable_reason=SHADOW_RUN,
        metadata={SHADOW_OF: f"d{number}"} | ({AGREES: agrees} if agrees else {}),
    )
    return replace(made, **more)


def outcome(number: int, value: float | bool | str = True, kind: str = "bool", **more: Any) -> Outcome:
    fields = {"metric": "right", "decision_id": f"d{number}", "tenant": "default", **more}
    return Outcome(f"o{number}-{sorted(more.items())}", value=value, kind=kind, **fields)


def write(path: Path, rows: Iterable[Decision], outcomes: Iterable[Outcome] = ()) -> Path:
    """A store's file as the service's own writer makes it."""

    async def fill() -> None:
        store = SQLite.open(path, max_queued=1_000_000)
        for each in rows:
            store.record(each)
        told = list(outcomes)
        if told:
            await store.report(told)
        await store.close()

    asyncio.run(fill())
    return path


def run(*arguments: Any) -> str:
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(report)
    found = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        raise found.exception
    assert found.exit_code == 0, found.output
    return found.stdout


def facts(*arguments: Any) -> dict[str, Any]:
    return json.loads(run(*arguments, "--json"))  # type: ignore[no-any-return]


def applied(number: int, plan: str = "small", **more: Any) -> Decision:
    return row(number, mode=Mode.APPLY, plan=plan, usable=True, unusable_reason="", would_plan="", **more)


@pytest.fixture(name="log")
def log_fixture() -> SimpleNamespace:
    """Makers of rows and outcomes, `write` for a store, `run` and `facts` for what is reported on it."""
    return SimpleNamespace(
        now=NOW,
        row=row,
        shadow=shadow,
        applied=applied,
        outcome=outcome,
        write=write,
        run=run,
        facts=facts,
    )


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "rows.db"
