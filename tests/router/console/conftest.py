"""A store with rows of a known making, the real server over it as a process of its own, and a page in a real Chromium."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from router.decisions.sqlite import SQLite
from router.domain.decision import Decision, Mode, Outcome, SampleRecord
from router.domain.usage import Usage

BEGAN = 1_750_000_000.0  # of the rows that are made, seconds since the epoch
# quality, micros
PLANS = {"small": (0.4, 20.0), "vote": (0.6, 60.0), "cascade": (0.7, 90.0), "large": (0.9, 200.0)}

CONFIG = """
mode = "apply"
reference = "large"
untrained = "vote"
price = 50.0

[backends.small]
kind = "scripted"
script = ["4", "4", "5"]
price_in = 1.0
price_out = 2.0

[backends.large]
kind = "scripted"
script = ["forty-two"]
price_in = 10.0
price_out = 20.0

[[plans]]
name = "small"
stages = [{ backend = "small" }]

[[plans]]
name = "vote"
stages = [{ backend = "small", max_samples = 5, stop = { kind = "agreement", needed = 2 } }]

[[plans]]
name = "cascade"
stages = [{ backend = "small", max_samples = 3, stop = { kind = "agreement", needed = 3 } }, { backend = "large" }]

[[plans]]
name = "large"
stages = [{ backend = "large" }]

[budget]
dollars = 2.0

[[budgets]]
name = "search-team"
tenants = ["search"]
amount = 0.5
window = "day"

[server]
http_listen = "127.0.0.1:0"
drain_s = 2.0
"""


@dataclass(frozen=True)
class House:
    """A server that runs: where it listens."""

    url: str  # of its HTTP door
    router: str
    admin: str


@contextmanager
def served(folder: Path, *options: str) -> Iterator[House]:
    """`apportion serve` over folder/router.toml on free ports, ended with SIGTERM."""
    command = [sys.executable, "-m", "router", "serve", "--config", str(folder / "router.toml")]
    ports = ("--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0")
    with (folder / "serve.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, *ports, *options], stdout=subprocess.PIPE, stderr=log, text=True
        )
        try:
            assert process.stdout
            line = process.stdout.readline()
            assert line.startswith("listening "), (folder / "serve.log").read_text()[-2000:]
            found = dict(part.split("=", 1) for part in line.split()[1:])
            yield House(f"http://{found['http']}", found["router"], found["admin"])
        finally:
            process.terminate()
            process.communicate(timeout=30)


def made(number: int, count: int) -> Decision:
    """Row `number` of `count`, one every ten seconds; the last is the newest."""
    chance = random.Random(number)
    plan = chance.choice(sorted(PLANS))
    quality = {
        name: min(0.98, max(0.02, mean + chance.uniform(-0.2, 0.2))) for name, (mean, _) in PLANS.items()
    }
    backend = "large" if plan == "large" else "small"
    return Decision(
        decision_id=f"made-{number:06d}",
        request_id=f"request-{number}",
        replica="made",
        sequence=number + 1,
        created_at=BEGAN + 10.0 * number,
        tenant=("search", "support")[number % 2],
        session_id="",
        mode=Mode.APPLY,
        policy="utility",
        bundle="made",
        price=50.0 + number / count,
        plan=plan,
        digest="of no plan that is configured",
        propensity=1.0,
        probabilities={name: float(name == plan) for name in PLANS},
        digests={name: name for name in PLANS},
        explored=False,
        usable=True,
        signals={f"p_correct/{name}": quality[name] for name in ("small", "large")},
        samples=(
            SampleRecord(
                "0.0", backend, 0, 0, tokens_in=9, tokens_out=3, answer="4", answer_class=0, text="4"
            ),
        ),
        stop_reason="exhausted",
        answer="4",
        answer_text="4",
        confidence=quality[plan],
        usage={backend: Usage(9, tokens_out=3, samples=1)},
        cost=PLANS[plan][1],
        costs={backend: PLANS[plan][1]},
        latency_s=0.2,
        query_text=f"What is {number} + 1?",
        forecasts={name: (quality[name], cost) for name, (_, cost) in PLANS.items()},
    )


def outcome_of(row: Decision) -> Outcome:
    """Right as often as was predicted."""
    right = random.Random(row.decision_id).random() < (row.confidence or 0.0)
    return Outcome(
        f"about-{row.decision_id}", "correct", right, "bool", decision_id=row.decision_id, tenant=row.tenant
    )


async def _fill(path: Path, rows: Sequence[Decision], reported: int) -> None:
    """A store of these rows; the last `reported` have an outcome."""
    store = SQLite.open(path, max_queued=len(rows) + 1)
    for row in rows:
        store.record(row)
    await store.report([outcome_of(row) for row in rows[len(rows) - reported :]])
    await store.close()


def fill(path: Path, rows: Sequence[Decision], reported: int) -> None:
    """The same, waited for; in a thread of its own, since the browser's driver has a loop in ours."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, _fill(path, rows, reported)).result()


@pytest.fixture(scope="module")
def rows() -> list[Decision]:
    return [made(number, 300) for number in range(300)]


@pytest.fixture(scope="module")
def house(tmp_path_factory, rows: list[Decision]) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("console")
    (folder / "router.toml").write_text(CONFIG)
    fill(folder / "apportion.db", rows, 200)
    with served(folder) as found:
        yield found


@pytest.fixture
def page(house: House, chromium: Any) -> Iterator[Any]:
    """A page of the console's first page; what goes wrong inside it fails the test."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light")
    opened = context.new_page()
    wrong: list[str] = []
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on(
        "console",
        lambda said: (
            wrong.append(said.text)
            if said.type == "error" and "api/" not in said.location.get("url", "")
            else None
        ),
    )
    opened.set_default_timeout(15_000)
    opened.goto(f"{house.url}/console/")
    opened.wait_for_selector(".rows li")
    yield opened
    context.close()
    assert not wrong


@pytest.fixture(scope="module")
def served_over() -> Callable[..., Any]:
    """Serves from a folder, with more at the beginning of router.toml."""

    def start(folder: Path, top: str, end: str = "") -> Any:
        (folder / "router.toml").write_text(top + CONFIG + end)
        return served(folder)

    return start


@pytest.fixture
def serve() -> Callable[..., Any]:
    return served


@pytest.fixture(scope="session")
def make() -> Callable[..., Any]:
    return made


@pytest.fixture(scope="session")
def store_of() -> Callable[..., Any]:
    return fill


@pytest.fixture
def config() -> str:
    return CONFIG
