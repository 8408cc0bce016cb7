"""Bodies of rows: small, and what comes out is what went in."""

from __future__ import annotations

import dataclasses
import math
import sqlite3

import pytest

from router.decisions.names import Names, to_value
from router.decisions.packed import is_packed, pack, repeated, unpack
from router.decisions.rows import to_bytes
from router.decisions.schema import MIGRATIONS
from router.decisions.sqlite import SQLite
from router.domain.decision import Decision, Mode, Status
from router.domain.usage import Usage
from training.store_bench.made_rows import Traffic


@pytest.fixture
def made() -> Decision:
    return Traffic().decision(3)


def through(row: Decision, names: Names) -> Decision:
    new = enumerate(names.missing(repeated(row)), names.highest + 1)
    names.learn([(number, to_value(text)) for number, text in new])
    return unpack(row.decision_id, row.tenant, row.created_at, pack(row, names), names)


def test_a_row_comes_back_with_what_was_measured_in_single_precision(made):
    found = through(made, Names())
    measured = ("confidence", "latency_s", "first_text_s", "signals", "forecasts", "samples")
    exact = {name: getattr(made, name) for name in measured}
    for name in measured[:3]:
        assert getattr(found, name) == pytest.approx(exact[name], rel=1e-6)
    assert dataclasses.replace(found, **exact) == made
    assert found.signals == pytest.approx(made.signals, rel=1e-6)
    assert {plan: cost for plan, (_, cost) in found.forecasts.items()} == pytest.approx(
        {plan: cost for plan, (_, cost) in made.forecasts.items()}, rel=1e-6
    )
    for sample, wanted in zip(found.samples, made.samples, strict=True):
        assert sample.confidence == pytest.approx(wanted.confidence, rel=1e-6)
        names = ("mean_logprob", "first_entropy", "confidence", "latency_s")
        rest = {name: getattr(wanted, name) for name in names}
        assert dataclasses.replace(sample, **rest) == wanted


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("status", list(Status))
def test_every_mode_and_status_comes_back(made, mode, status):
    found = through(dataclasses.replace(made, mode=mode, status=status, explored=True, usable=False), Names())
    assert (found.mode, found.status, found.explored, found.usable) == (mode, status, True, False)


def test_a_propensity_that_is_not_the_plans_probability_stays(made):
    for propensity in (1.0, 0.123456789):
        assert through(dataclasses.replace(made, propensity=propensity), Names()).propensity == propensity
    assert through(dataclasses.replace(made, plan="other", propensity=0.5), Names()).propensity == 0.5


@pytest.mark.parametrize("costs", [{}, {"small": 1.5}, {"small": 1.5, "large": 2.0}, {"odd": 3.5}])
def test_costs_by_backend_come_back(made, costs):
    row = dataclasses.replace(made, usage={"small": Usage(1)}, cost=1.5, costs=costs)
    assert through(row, Names()).costs == costs


def test_a_quality_that_is_not_known_stays_unknown(made):
    found = through(dataclasses.replace(made, forecasts={"small": (None, 2.5)}), Names())
    assert found.forecasts == {"small": (None, 2.5)}


def test_numbers_beyond_single_precision_lose_no_row(made):
    found = through(dataclasses.replace(made, signals={"big": 1e300, "odd": math.nan}), Names())
    assert found.signals["big"] == math.inf
    assert math.isnan(found.signals["odd"])


@pytest.mark.parametrize("text", ["", "no hash", "ABCD", "abc", "ab cd"])
def test_a_hash_of_any_form_comes_back(made, text):
    assert through(dataclasses.replace(made, query_hash=text), Names()).query_hash == text


def test_without_room_for_names_rows_say_everything_themselves(made):
    assert through(made, Names(most=0)).digests == made.digests


@pytest.mark.parametrize("what", ["times in words", "a caller's own ids"])
def test_what_is_another_in_every_row_takes_no_room_for_names(made, what):
    names, kept = Names(), dict[int, set[int]]()
    for number in range(50):
        row = dataclasses.replace(made, degraded=(f"plan 'a' may be late: 31.{number} s", "no bundle"))
        if what != "times in words":
            own = dataclasses.replace(made.samples[0], sample_id=f"uuid-{number}")
            signals = {**made.signals, f"sample_confidence/{own.sample_id}": 0.5}
            row = dataclasses.replace(made, samples=(own,), signals=signals)
        found = through(row, names)
        assert (found.degraded, list(found.signals)) == (row.degraded, list(row.signals))
        kept.setdefault(names.highest, set()).add(number)
    assert len(kept) == 1


def test_bodies_of_earlier_versions_are_read(made):
    assert not is_packed(to_bytes(made))
    assert unpack("", "", 0.0, to_bytes(made), Names()) == made


async def test_a_file_of_the_first_version_is_brought_up_to_date(tmp_path, made):
    path = tmp_path / "rows.db"
    connection = sqlite3.connect(path)
    connection.executescript(
        f"{MIGRATIONS[0]}; PRAGMA application_id = {0x41505054}; PRAGMA user_version = 1;"
    )
    for n in (1, 2, 4):
        row = dataclasses.replace(made, decision_id=f"d{n}", sequence=n, created_at=float(n))
        connection.execute(
            "INSERT INTO decisions VALUES (?, ?, 't', ?, ?, ?, 'p', 's', ?)",
            (n, row.decision_id, row.replica, n, row.created_at, to_bytes(row)),
        )
    connection.execute("INSERT INTO recorded VALUES (?, 1, 6)", (made.replica,))
    connection.commit()
    connection.close()
    store = SQLite.open(path)
    assert store.health.lost == 3  # 3, and 5 and 6, which a killed process took with it
    found = await store.decisions(10)
    assert [row.decision_id for row in found.decisions] == ["d4", "d2", "d1"]
    await store.close()
