"""`apportion report` on stores written as a server writes them."""

from __future__ import annotations

import asyncio
import json
import math
import os
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from predictors.observation import Message, Part, Query
from router.assemble import assemble
from router.config import Config
from router.decisions.rows import key_of, subject_of, superseded_key, to_bytes
from router.decisions.schema import open_writer
from router.decisions.sqlite import SQLite
from router.domain.decision import Decision, Mode, Outcome, Status
from router.domain.options import Options
from router.errors import StoreError
from router.shadow import AGREES, SHADOW_OF, SHADOW_RUN
from training.errors import TrainingError
from training.report import labels_of, moment_of, report
from training.report_rows import read_log

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


def shadow(number: int, **more: Any) -> Decision:
    """The shadow run of `row(number)`."""
    marks = {SHADOW_OF: f"d{number}", AGREES: "yes"} | more.pop("metadata", {})
    return replace(
        row(number),
        **{
            "decision_id": f"d{number}-shadow",
            "request_id": "",
            "replica": "test/shadow",
            "plan": "small",
            "digest": "s",
            "cost": 150.0,
            "unusable_reason": SHADOW_RUN,
            "metadata": marks,
            **more,
        },
    )


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


@pytest.fixture
def store(tmp_path):
    return tmp_path / "rows.db"


def test_the_expected_saving_is_that_of_the_logged_distribution(store):
    write(store, [row(number) for number in range(100)])
    seen = facts("--store", store)["observe"]
    assert seen["cost_reference"] == pytest.approx(1.0)  # $ per 1,000 queries
    assert seen["cost_apply"]["mean"] == pytest.approx(0.8 * 0.1 + 0.2 * 1.0)
    assert seen["saving"]["mean"] == pytest.approx(72.0)
    assert seen["saving"]["lo"] < 72 < seen["saving"]["hi"] <= 100


def test_the_expected_quality_difference_is_in_points(store):
    write(store, [row(number) for number in range(100)])
    seen = facts("--store", store)["observe"]
    assert seen["quality_difference"]["mean"] == pytest.approx(-8.0)
    assert seen["quality_apply"]["mean"] == pytest.approx(0.72)
    assert seen["quality_reference"] == pytest.approx(0.8)


def test_shares_are_the_probabilities_and_what_was_drawn(store):
    write(store, [row(number, would_plan="large" if number < 25 else "small") for number in range(100)])
    seen = facts("--store", store)["observe"]
    assert seen["shares"] == {"large": pytest.approx(0.2), "small": pytest.approx(0.8)}
    assert seen["drawn"] == {"small": 0.75, "large": 0.25}


def test_rows_that_cannot_be_used_are_counted_by_reason(store):
    rows = [row(number) for number in range(50)]
    odd = [
        row(50, status=Status.FAILED),
        row(51, status=Status.CANCELLED),
        row(52, stop_reason="decided", cost=0.0),
        row(53, forecasts={}),
        row(54, plan="small", digest="s"),
        row(55, digest="changed"),
        row(56, probabilities={"small": 0.5}),
        row(57, bundle="b0", created_at=NOW - 1),
    ]
    write(store, [*odd, *rows])
    found = facts("--store", store)["rows"]
    assert found["used"] == 50
    assert found["left_out"] == {
        "failed": 1,
        "cancelled": 1,
        "decided only: the caller calls its models itself": 1,
        "logged without forecasts": 1,
        "not served by the reference plan (not feasible, failed over, or changed since)": 2,
        "damaged numbers": 1,
        "under another bundle than the newest": 1,
    }


def test_only_rows_of_the_newest_bundle_tell_what_apply_would_do(store):
    write(store, [row(number, bundle="old" if number < 30 else "new") for number in range(100)])
    found = facts("--store", store)
    assert (found["observe"]["bundle"], found["observe"]["queries"]) == ("new", 70)
    assert found["rows"]["left_out"] == {"under another bundle than the newest": 30}


def test_an_empty_log_is_a_report_too(store):
    write(store, [])
    found = facts("--store", store)
    assert found["rows"]["read"] == 0
    assert found["observe"] == {"skipped": "no row of mode observe can be used"}
    assert "0 rows: 0 used" in run("--store", store)


def test_a_log_of_failures_alone_says_so(store):
    write(store, [row(number, status=Status.FAILED, cost=3.0) for number in range(5)])
    found = facts("--store", store)
    assert found["rows"]["left_out"] == {"failed": 5}
    assert "skipped" in found["observe"]
    assert found["dollars"]["total"] == pytest.approx(15e-6)
    assert "left out: 5 failed" in run("--store", store)


def test_a_single_query_has_no_bounds(store):
    write(store, [row(0)])
    seen = facts("--store", store)["observe"]
    assert (seen["saving"]["lo"], seen["quality_difference"]["lo"]) == (None, -100.0)
    assert "rough" in run("--store", store)


def test_a_free_reference_has_no_saving(store):
    write(store, [row(number, cost=0.0) for number in range(40)])
    seen = facts("--store", store)["observe"]
    assert "cost nothing" in seen["saving"]["skipped"]
    assert seen["quality_difference"]["mean"] == pytest.approx(-8.0)
    assert "cost nothing" in run("--store", store)


def test_without_a_bundle_quality_is_not_known(store):
    unknown = {"small": (None, 100.0), "large": (None, 1000.0)}
    write(store, [row(number, bundle="", forecasts=unknown) for number in range(40)])
    seen = facts("--store", store)["observe"]
    assert "serve with a bundle" in seen["quality_difference"]["skipped"]
    assert "untrained" in run("--store", store)


def test_shadow_runs_are_neither_traffic_nor_queries(store):
    write(store, [*(row(number) for number in range(40)), *(shadow(number) for number in range(40))])
    found = facts("--store", store)
    assert (found["rows"]["read"], found["rows"]["used"], found["rows"]["shadow_runs"]) == (80, 40, 40)
    assert [(entry["plan"], entry["decisions"]) for entry in found["traffic"]] == [("large", 40)]
    assert found["dollars"]["observe"] == pytest.approx(0.04)
    assert found["dollars"]["shadow"] == pytest.approx(0.006)


def test_shadow_runs_correct_the_forecast_of_their_plan(store):
    write(store, [*(row(number) for number in range(40)), *(shadow(number) for number in range(40))])
    seen = facts("--store", store)["observe"]
    assert seen["real_over_forecast"]["small"] == {"ratio": pytest.approx(1.5), "runs": 40}
    assert seen["cost_apply"]["mean"] == pytest.approx(0.8 * 0.15 + 0.2 * 1.0)


def test_shadow_answers_bound_the_difference_in_quality(store):
    shadows = [shadow(number, metadata={AGREES: "no" if number < 4 else "yes"}) for number in range(40)]
    write(store, [*(row(number) for number in range(40)), *shadows])
    found = facts("--store", store)["shadow"]
    assert found["compared"] == 40
    assert found["agree"]["mean"] == pytest.approx(0.9)
    assert found["quality_cannot_differ_by_more_than"] == pytest.approx(100 * (1 - found["agree"]["lo"]))


def test_failed_shadow_runs_are_counted_and_correct_nothing(store):
    shadows = [shadow(number, status=Status.FAILED, metadata={AGREES: ""}) for number in range(40)]
    for each in shadows:
        each.metadata.pop(AGREES)  # type: ignore[attr-defined]
    write(store, [*(row(number) for number in range(40)), *shadows])
    found = facts("--store", store)
    assert found["shadow"]["failed"] == {"failed": 40}
    assert (found["shadow"]["answered"], found["shadow"]["compared"]) == (0, 0)
    assert "small" not in found["observe"]["real_over_forecast"]


def test_a_caller_cannot_pass_its_query_off_as_a_shadow_run(store):
    write(store, [row(number, metadata={SHADOW_OF: "d0"}) for number in range(10)])
    assert facts("--store", store)["rows"]["shadow_runs"] == 0


def applied(number: int, plan: str = "small", **more: Any) -> Decision:
    return row(number, mode=Mode.APPLY, plan=plan, usable=True, unusable_reason="", would_plan="", **more)


def test_applied_rows_have_their_mean_reward_with_wilsons_interval(store):
    rows = [applied(number, "small" if number < 60 else "large") for number in range(100)]
    write(store, rows, [outcome(number, number % 4 != 0) for number in range(60)])
    plans = facts("--store", store)["apply"]["plans"]
    assert plans["small"]["rewarded"] == 60
    assert plans["small"]["reward"]["mean"] == pytest.approx(0.75)
    assert plans["small"]["reward"]["lo"] == pytest.approx(0.6277, abs=1e-3)
    assert plans["small"]["reward"]["hi"] == pytest.approx(0.8422, abs=1e-3)
    assert plans["large"]["reward"] == {"skipped": "no outcome"}


@pytest.mark.parametrize(
    ("value", "kind", "reward"),
    [
        (True, "bool", 1.0),
        (False, "bool", 0.0),
        (0.25, "number", 0.25),
        (7.0, "number", 1.0),
        (-3.0, "number", 0.0),
        ("good", "label", 1.0),
        ("so so", "label", 0.5),
    ],
)
def test_outcomes_become_rewards(store, value, kind, reward):
    write(store, [applied(0)], [outcome(0, value, kind)])
    found = facts("--store", store, "--label", "good=1", "--label", "so so=0.5")
    assert found["apply"]["all"]["reward"]["mean"] == reward


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (outcome(0, "what", "label"), "label 'what' has no reward (--label NAME=REWARD)"),
        (outcome(0, "nice!", "comment"), "a comment has no reward"),
        (outcome(0, "42", "demonstration"), "a demonstration has no reward"),
        (outcome(0, weight=0.0), "weight is not above 0"),
        (outcome(0, sample_id="0.1"), "about a sample, not about the answer"),
        (outcome(9), "about no answered decision of the period"),
        (outcome(0, tenant="another"), "about no answered decision of the period"),
    ],
)
def test_an_outcome_that_is_no_reward_is_left_out_with_its_reason(store, told, reason):
    write(store, [applied(0)], [told])
    found = facts("--store", store)
    assert found["outcomes"]["left_out"] == {reason: 1}
    assert found["apply"]["all"]["rewarded"] == 0


def test_several_outcomes_of_one_decision_are_averaged_by_weight(store):
    told = [outcome(0, 1.0, "number", weight=3.0), outcome(0, 0.0, "number", weight=1.0)]
    write(store, [applied(0)], told)
    assert facts("--store", store)["apply"]["all"]["reward"]["mean"] == 0.75


def test_a_superseded_outcome_counts_no_more(store):
    first, second = outcome(0, False, key="a"), outcome(0, True, key="b", supersedes="a")
    write(store, [applied(0)], [first, second])
    found = facts("--store", store)
    assert found["apply"]["all"]["reward"]["mean"] == 1.0
    assert found["outcomes"]["left_out"] == {"superseded by a later report": 1}


def test_outcomes_are_joined_by_request_and_session_too(store):
    rows = [applied(0), applied(1, session_id="s"), applied(2, session_id="s")]
    by_request = outcome(0, True, decision_id="", request_id="r0")
    by_session = outcome(1, False, decision_id="", session_id="s")
    write(store, rows, [by_request, by_session])
    found = facts("--store", store)
    assert (found["outcomes"]["used"], found["outcomes"]["decisions"]) == (2, 3)
    assert found["apply"]["all"]["reward"]["mean"] == pytest.approx(1 / 3)


def test_the_most_frequent_metric_is_the_reward_unless_another_is_named(store):
    told = [outcome(0, True), outcome(1, True), outcome(0, False, metric="liked")]
    write(store, [applied(0), applied(1)], told)
    assert facts("--store", store)["outcomes"]["metric"] == "right"
    liked = facts("--store", store, "--metric", "liked")
    assert liked["apply"]["all"]["reward"]["mean"] == 0.0
    assert liked["outcomes"]["left_out"] == {"metric 'right'": 2}


def test_calibration_compares_promises_with_outcomes(store):
    rng = np.random.default_rng(0)
    promised = rng.random(2000)
    came = rng.random(2000) < promised**2
    rows = [applied(number, confidence=float(promised[number])) for number in range(2000)]
    write(store, rows, [outcome(number, bool(came[number])) for number in range(2000)])
    found = facts("--store", store)["calibration"]["confidence"]
    assert found["rows"] == 2000
    assert found["ece"] == pytest.approx(np.mean(promised - promised**2), abs=0.04)
    assert found["brier_skill"] < 1


def test_calibration_wants_enough_outcomes(store):
    write(store, [applied(number) for number in range(49)], [outcome(number) for number in range(49)])
    found = facts("--store", store)["calibration"]
    assert found["confidence"] == {"skipped": "49 rows have both; 50 are needed"}


def test_the_references_forecast_is_checked_where_outcomes_are_known(store):
    write(
        store, [row(number) for number in range(40)], [outcome(number, number < 20) for number in range(30)]
    )
    seen = facts("--store", store)["observe"]
    assert seen["reference_reward"]["mean"] == pytest.approx(2 / 3)
    assert seen["reference_expected_there"] == pytest.approx(0.8)
    assert "was expected to get 0.800 and got 0.667" in run("--store", store)


def test_a_period_takes_what_was_decided_in_it(store):
    write(store, [row(number * 3600) for number in range(48)])
    begin, end = "2027-01-15T10:00", "2027-01-15T20:00+00:00"
    assert facts("--store", store, "--since", begin)["rows"]["read"] == 46
    assert facts("--store", store, "--until", end)["rows"]["read"] == 12
    assert facts("--store", store, "--since", begin, "--until", end)["rows"]["read"] == 10


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("24h", NOW - 86_400),
        ("7d", NOW - 7 * 86_400),
        ("1.5m", NOW - 90),
        ("2w", NOW - 14 * 86_400),
        ("2026-01-01", 1_767_225_600.0),
        ("2026-01-01T12:00", 1_767_268_800.0),
        ("2026-01-01T12:00+02:00", 1_767_261_600.0),
        ("", None),
    ],
)
def test_times_are_ago_or_dates_in_utc(text, seconds):
    assert moment_of("--since", text, NOW) == seconds


@pytest.mark.parametrize("text", ["yesterday", "24", "-3h", "2026-13-01", "h"])
def test_a_time_that_is_none_is_refused_with_examples(text):
    with pytest.raises(TrainingError, match=r"--since: .* is no time; write 24h, 7d, 2026-01-01"):
        moment_of("--since", text, NOW)


@pytest.mark.parametrize("text", ["good", "good=2", "=1", "good=nan", "good=x", "good=-1"])
def test_a_label_without_a_reward_in_range_is_refused(text):
    with pytest.raises(TrainingError, match=r"--label: .* is not NAME=REWARD"):
        labels_of([text])


def test_a_store_that_is_not_there_is_named(tmp_path):
    with pytest.raises(StoreError, match=r"gone\.db: there is no such file"):
        run("--store", tmp_path / "gone.db")
    assert list(tmp_path.iterdir()) == []


def test_another_programs_file_is_refused(store):
    with closing(sqlite3.connect(store)) as connection:
        connection.execute("CREATE TABLE mine (x)")
    with pytest.raises(StoreError, match="no decision store"):
        run("--store", store)


def test_a_file_that_is_no_database_is_refused(store):
    store.write_bytes(b"not a database at all" * 100)
    with pytest.raises(StoreError, match="cannot be read"):
        run("--store", store)


def test_the_store_of_a_configuration_is_found_beside_it(tmp_path):
    write(tmp_path / "kept.db", [row(number) for number in range(3)])
    (tmp_path / "router.toml").write_text(
        '[backends.large]\nkind = "scripted"\n[[plans]]\nname = "large"\nstages = [{ backend = "large" }]\n'
        '[store]\nsqlite = "kept.db"\n'
    )
    assert facts("--config", tmp_path / "router.toml")["rows"]["read"] == 3


def test_a_store_that_keeps_nothing_is_refused(tmp_path):
    (tmp_path / "router.toml").write_text(
        '[backends.large]\nkind = "scripted"\n[[plans]]\nname = "large"\nstages = [{ backend = "large" }]\n'
        '[store]\nsqlite = ":memory:"\n'
    )
    with pytest.raises(TrainingError, match="keeps nothing"):
        run("--config", tmp_path / "router.toml")


def test_a_running_servers_store_is_read_and_left_alone(store):
    async def beside() -> dict[str, Any]:
        owner = SQLite.open(store)
        for number in range(20):
            owner.record(row(number))
        await owner.report([outcome(0)])
        found = await asyncio.to_thread(facts, "--store", store)
        owner.record(row(20))
        await owner.close()
        return found

    assert asyncio.run(beside())["rows"]["read"] == 20
    assert facts("--store", store)["rows"]["read"] == 21


@pytest.fixture
def unwritable():
    """A store of 3 rows in a folder that cannot be written, read by somebody who is not root."""
    with tempfile.TemporaryDirectory() as folder:
        store = write(Path(folder) / "rows.db", [row(number) for number in range(3)])
        for leftover in Path(folder).glob("rows.db?*"):
            leftover.unlink()
        yield store
        Path(folder).chmod(0o700)


@contextmanager
def as_nobody(store: Path) -> Iterator[None]:
    for file in store.parent.iterdir():
        file.chmod(0o444)
    store.parent.chmod(0o555)
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_store_whose_folder_cannot_be_written_is_read_as_it_lies(unwritable):
    with as_nobody(unwritable):
        assert not os.access(unwritable.parent, os.W_OK, effective_ids=True)
        assert len(read_log(unwritable, 0.0, math.inf).rows) == 3
    assert [file.name for file in unwritable.parent.iterdir()] == ["rows.db"]


def test_rows_in_a_write_ahead_file_that_cannot_be_read_are_not_passed_over(unwritable):
    (unwritable.parent / "rows.db-wal").write_bytes(b"rows" * 2000)
    with as_nobody(unwritable), pytest.raises(StoreError, match=r"rows\.db-wal holds rows of it"):
        read_log(unwritable, 0.0, math.inf)


def test_a_damaged_row_is_counted_and_the_others_are_used(store):
    write(store, [row(number) for number in range(40)])
    with closing(sqlite3.connect(store)) as connection:
        connection.execute("UPDATE decisions SET body = x'c1' WHERE decision_id = 'd3'")
        connection.commit()
    rows = facts("--store", store)["rows"]
    assert (rows["read"], rows["left_out"]) == (39, {"cannot be decoded": 1})


def test_the_bundles_card_says_on_how_many_queries_it_was_fitted(tmp_path):
    from predictors.card import BundleCard

    card = BundleCard(
        "b1", "", "f", {}, ("large",), (), counts={"queries": 300, "queries_without_any_reward": 20}
    )
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "card.json").write_text(json.dumps(card.to_json()))
    (tmp_path / "router.toml").write_text(
        'bundle = "bundle"\n'
        '[backends.large]\nkind = "scripted"\n[[plans]]\nname = "large"\nstages = [{ backend = "large" }]\n'
    )
    write(tmp_path / "apportion.db", [row(number) for number in range(50)])
    told = facts("--config", tmp_path / "router.toml")["observe"]
    untold = facts("--store", tmp_path / "apportion.db")["observe"]
    assert (told["labelled"], untold["labelled"]) == (280, None)
    assert told["quality_difference"]["lo"] < untold["quality_difference"]["lo"]


def test_a_picture_is_written(store, tmp_path):
    write(store, [row(number) for number in range(40)])
    run("--store", store, "--plot", tmp_path / "report.png")
    assert (tmp_path / "report.png").read_bytes().startswith(b"\x89PNG")


def test_a_picture_of_nothing_is_refused(store, tmp_path):
    write(store, [])
    with pytest.raises(TrainingError, match="nothing to plot"):
        run("--store", store, "--plot", tmp_path / "report.png")


def test_people_are_told_saving_quality_and_the_rows_used(store):
    shadows = [shadow(number) for number in range(40)]
    write(store, [*(row(number) for number in range(100)), *shadows, applied(200)], [outcome(200)])
    text = run("--store", store)
    assert "141 rows" in text
    assert "101 used, 40 of shadow runs" in text
    assert "saving: 68.0 %" in text
    assert "quality difference: -8.0 points" in text
    assert "answers like the one that was served: 1.000" in text
    assert "outcomes: 1 of metric right about 1 decisions" in text


@pytest.mark.timeout(300)
def test_a_hundred_thousand_rows_are_read_and_reported(store):
    count = 100_000
    with closing(open_writer(store, 1.0)) as connection:
        connection.execute("BEGIN")
        for number in range(count):
            made = row(number, session_id=f"s{number // 5}", mode=Mode.APPLY if number % 2 else Mode.OBSERVE)
            connection.execute(
                "INSERT INTO decisions (decision_id, tenant, replica, sequence, created_at, plan, status, body)"
                " VALUES (?, 'default', 'test', ?, ?, 'large', 'answered', ?)",
                (made.decision_id, number, made.created_at, to_bytes(made)),
            )
            told = outcome(number, number % 3 > 0)
            subject = subject_of(told)
            connection.execute(
                "INSERT INTO outcomes (tenant, key, subject, subject_id, supersedes, metric, body)"
                " VALUES ('default', ?, ?, ?, ?, 'right', ?)",
                (key_of(told), *subject, superseded_key(told), to_bytes(told)),
            )
        connection.execute("COMMIT")
    found = facts("--store", store)
    assert found["observe"]["queries"] == count // 2
    assert found["observe"]["sessions"] == count // 5
    assert found["apply"]["all"]["rewarded"] == count // 2


async def test_a_served_week_is_reported_from_its_store_alone(tmp_path):
    """Through the real allocator: forecasts, would-plans and shadow runs come from the log that it wrote."""
    config = msgspec.convert(
        {
            "backends": {
                "small": {"kind": "scripted", "script": ["answer: 4"], "price_in": 1.0, "price_out": 1.0},
                "large": {"kind": "scripted", "script": ["answer: 4"], "price_in": 9.0, "price_out": 9.0},
            },
            "plans": [
                {"name": "small", "stages": [{"backend": "small", "max_tokens": 4}]},
                {"name": "large", "stages": [{"backend": "large", "max_tokens": 4}]},
            ],
            "policy": {"kind": "fixed", "plan": "small"},
            "reference": "large",
            "mode": "observe",
            "shadow": {"share": 1.0, "dollars": 1.0},
            "store": {"sqlite": "rows.db"},
        },
        Config,
    )
    service = assemble(config, base=tmp_path)
    assert service.shadows is not None
    for number in range(30):
        query = Query(f"r{number}", (Message("user", (Part(text=f"What is 2 + 2? ({number})"),)),))
        async for _ in service.answers.run(query, Options()):
            pass
        await asyncio.gather(*service.shadows._running)
    await service.close()
    found = await asyncio.to_thread(facts, "--store", tmp_path / "rows.db")
    seen = found["observe"]
    assert (seen["queries"], seen["shares"]) == (30, {"large": 0.0, "small": 1.0})
    assert seen["saving"]["mean"] == pytest.approx(100 * (1 - 1 / 9))
    assert seen["saving"]["lo"] <= 100 * (1 - 1 / 9) <= seen["saving"]["hi"]
    assert (found["shadow"]["runs"], found["shadow"]["agree"]["mean"]) == (30, 1.0)
