"""What `apportion report` says about observed queries and their shadow runs."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from predictors.observation import Message, Part, Query
from router.assemble import assemble
from router.config import Config
from router.domain.decision import Status
from router.domain.options import Options
from router.shadow import SHADOW_OF
from training.errors import TrainingError


def test_the_expected_saving_is_that_of_the_logged_distribution(log, store):
    log.write(store, [log.row(number) for number in range(100)])
    seen = log.facts("--store", store)["observe"]
    assert seen["cost_reference"] == pytest.approx(1.0)  # $ per 1,000 queries
    assert seen["cost_apply"]["mean"] == pytest.approx(0.8 * 0.1 + 0.2 * 1.0)
    assert seen["saving"]["mean"] == pytest.approx(72.0)
    assert seen["saving"]["lo"] < 72 < seen["saving"]["hi"] <= 100


def test_the_expected_quality_difference_is_in_points(log, store):
    log.write(store, [log.row(number) for number in range(100)])
    seen = log.facts("--store", store)["observe"]
    assert seen["quality_difference"]["mean"] == pytest.approx(-8.0)
    assert seen["quality_apply"]["mean"] == pytest.approx(0.72)
    assert seen["quality_reference"] == pytest.approx(0.8)


def test_shares_are_the_probabilities_and_what_was_drawn(log, store):
    log.write(
        store, [log.row(number, would_plan="large" if number < 25 else "small") for number in range(100)]
    )
    seen = log.facts("--store", store)["observe"]
    assert seen["shares"] == {"large": pytest.approx(0.2), "small": pytest.approx(0.8)}
    assert seen["drawn"] == {"small": 0.75, "large": 0.25}


def test_rows_that_cannot_be_used_are_counted_by_reason(log, store):
    rows = [log.row(number) for number in range(50)]
    odd = [
        log.row(50, status=Status.FAILED),
        log.row(51, status=Status.CANCELLED),
        log.row(52, stop_reason="decided", cost=0.0),
        log.row(53, forecasts={}),
        log.row(54, plan="small", digest="s"),
        log.row(55, digest="changed"),
        log.row(56, probabilities={"small": 0.5}),
        log.row(57, bundle="b0", created_at=log.now - 1),
    ]
    log.write(store, [*odd, *rows])
    found = log.facts("--store", store)["rows"]
    assert found["used"] == 50
    assert found["left_out"] == {
        "failed": 1,
        "cancelled": 1,
        "decided only: the caller calls its models itself": 1,
        "logged without forecasts": 1,
        "not served by the reference plan (not feasible, failed over, or changed since)": 2,
        "damaged numbers": 1,
        "under another bundle than the one that decides now": 1,
    }


def test_a_canary_is_not_the_bundle_that_is_told_of_though_the_newest_row_is_its(log, store):
    canaries = set(range(9, 100, 10))
    log.write(
        store, [log.row(number, bundle="canary" if number in canaries else "b1") for number in range(100)]
    )
    found = log.facts("--store", store)
    assert found["observe"]["bundle"] == "b1"
    assert found["observe"]["queries"] == 90


def test_only_rows_of_the_newest_bundle_tell_what_apply_would_do(log, store):
    log.write(store, [log.row(number, bundle="old" if number < 30 else "new") for number in range(100)])
    found = log.facts("--store", store)
    assert (found["observe"]["bundle"], found["observe"]["queries"]) == ("new", 70)
    assert found["rows"]["left_out"] == {"under another bundle than the one that decides now": 30}


def test_an_empty_log_is_a_report_too(log, store):
    log.write(store, [])
    found = log.facts("--store", store)
    assert found["rows"]["read"] == 0
    assert found["observe"] == {"skipped": "no row of mode observe can be used"}
    assert "0 rows: 0 used" in log.run("--store", store)


def test_a_log_of_failures_alone_says_so(log, store):
    log.write(store, [log.row(number, status=Status.FAILED, cost=3.0) for number in range(5)])
    found = log.facts("--store", store)
    assert found["rows"]["left_out"] == {"failed": 5}
    assert "skipped" in found["observe"]
    assert found["dollars"]["total"] == pytest.approx(15e-6)
    assert "left out: 5 failed" in log.run("--store", store)


@pytest.mark.parametrize("session", ["", "same"])
def test_from_too_few_queries_or_sessions_nothing_is_predicted(log, store, session):
    log.write(store, [log.row(number, session_id=session) for number in range(20 if session else 9)])
    few = 1 if session else 9
    why = f"too few rows: {few} observed queries or sessions; intervals begin at 10"
    assert log.facts("--store", store)["observe"] == {"skipped": why}
    assert f"what apply would have saved: {why}\n" in log.run("--store", store)


def test_ten_queries_are_enough_for_bounds(log, store):
    log.write(store, [log.row(number) for number in range(10)])
    assert log.facts("--store", store)["observe"]["saving"]["lo"] is not None
    assert "from 10 queries or sessions only: the intervals are rough" in log.run("--store", store)


def test_a_free_reference_has_no_saving(log, store):
    log.write(store, [log.row(number, cost=0.0) for number in range(40)])
    seen = log.facts("--store", store)["observe"]
    assert "cost nothing" in seen["saving"]["skipped"]
    assert seen["quality_difference"]["mean"] == pytest.approx(-8.0)
    assert "cost nothing" in log.run("--store", store)


def test_a_plan_that_the_bundle_has_not_learned_is_named_where_it_hides_the_quality(log, store):
    """A backend was added, and the report asked for the bundle that was there."""
    forecasts = {"small": (0.5, 100.0), "new": (None, 300.0), "large": (0.9, 1000.0)}
    odds = {"small": 0.6, "new": 0.1, "large": 0.3}
    log.write(
        store,
        [log.row(n, bundle="b7", forecasts=forecasts, probabilities=odds) for n in range(40)],
    )
    skipped = log.facts("--store", store)["observe"]["quality_difference"]["skipped"]
    assert skipped.endswith(
        "bundle b7 has not learned new; fit one that has, or take those plans out until then"
    )


def test_without_a_bundle_quality_is_not_known(log, store):
    unknown = {"small": (None, 100.0), "large": (None, 1000.0)}
    log.write(store, [log.row(number, bundle="", forecasts=unknown) for number in range(40)])
    seen = log.facts("--store", store)["observe"]
    assert "serve with a bundle" in seen["quality_difference"]["skipped"]
    assert "untrained" in log.run("--store", store)


def test_guessed_costs_of_plans_that_never_ran_give_no_saving(log, store):
    """Without a bundle a forecast may be fifty times what the reference then costs."""
    log.write(store, [log.row(number, cost=20.0) for number in range(40)])
    seen = log.facts("--store", store)["observe"]
    assert "cost_apply" not in seen
    assert "large cost 0.02 of its forecast, and small ran fewer than 20 times" in seen["saving"]["skipped"]
    assert "  saving: not known: large cost" in log.run("--store", store)


@pytest.mark.parametrize(("runs", "told"), [(0, True), (5, True), (20, False)])
def test_plans_whose_runs_are_too_few_to_correct_their_costs_are_named(log, store, runs: int, told: bool):
    rows = [log.row(number) for number in range(40)]
    log.write(store, [*rows, *(log.shadow(number) for number in range(runs))])
    said = log.run("--store", store)
    assert ("run fewer than 20 times: small (forecasts taken as they are" in said) is told
    assert "never run" not in said


def test_costs_of_plans_that_ran_give_a_saving_however_far_off_their_forecasts_are(log, store):
    rows = [log.row(number, cost=20.0) for number in range(40)]
    log.write(store, [*rows, *(log.shadow(number, cost=2.0) for number in range(40))])
    assert log.facts("--store", store)["observe"]["saving"]["mean"] == pytest.approx(72.0)


def test_shadow_runs_are_neither_traffic_nor_queries(log, store):
    log.write(
        store, [*(log.row(number) for number in range(40)), *(log.shadow(number) for number in range(40))]
    )
    found = log.facts("--store", store)
    assert (found["rows"]["read"], found["rows"]["used"], found["rows"]["shadow_runs"]) == (80, 40, 40)
    assert [(entry["plan"], entry["decisions"]) for entry in found["traffic"]] == [("large", 40)]
    assert found["dollars"]["observe"] == pytest.approx(0.04)
    assert found["dollars"]["shadow"] == pytest.approx(0.006)


def test_shadow_runs_correct_the_forecast_of_their_plan(log, store):
    log.write(
        store, [*(log.row(number) for number in range(40)), *(log.shadow(number) for number in range(40))]
    )
    seen = log.facts("--store", store)["observe"]
    assert seen["real_over_forecast"]["small"] == {"ratio": pytest.approx(1.5), "runs": 40}
    assert seen["cost_apply"]["mean"] == pytest.approx(0.8 * 0.15 + 0.2 * 1.0)


def test_shadow_answers_bound_the_difference_in_quality(log, store):
    shadows = [log.shadow(number, agrees="no" if number < 4 else "yes") for number in range(40)]
    log.write(store, [*(log.row(number) for number in range(40)), *shadows])
    found = log.facts("--store", store)["shadow"]
    assert found["compared"] == 40
    assert found["agree"]["mean"] == pytest.approx(0.9)
    assert found["quality_cannot_differ_by_more_than"] == pytest.approx(100 * (1 - found["agree"]["lo"]))


def test_failed_shadow_runs_are_counted_and_correct_nothing(log, store):
    shadows = [log.shadow(number, status=Status.FAILED, agrees="") for number in range(40)]
    log.write(store, [*(log.row(number) for number in range(40)), *shadows])
    found = log.facts("--store", store)
    assert found["shadow"]["failed"] == {"failed": 40}
    assert (found["shadow"]["answered"], found["shadow"]["compared"]) == (0, 0)
    assert "small" not in found["observe"]["real_over_forecast"]


def test_a_caller_cannot_pass_its_query_off_as_a_shadow_run(log, store):
    log.write(store, [log.row(number, metadata={SHADOW_OF: "d0"}) for number in range(10)])
    assert log.facts("--store", store)["rows"]["shadow_runs"] == 0


def test_people_are_told_saving_quality_and_the_rows_used(log, store):
    shadows = [log.shadow(number) for number in range(40)]
    log.write(
        store, [*(log.row(number) for number in range(100)), *shadows, log.applied(200)], [log.outcome(200)]
    )
    text = log.run("--store", store)
    assert "141 rows" in text
    assert "101 used, 40 of shadow runs" in text
    assert "saving: 68.0 %" in text
    assert "quality difference: -8.0 points" in text
    assert "answers like the one that was served: 1.000" in text
    assert "outcomes: 1 of metric right about 1 decisions" in text


def test_a_picture_is_written(log, store, tmp_path):
    log.write(store, [log.row(number) for number in range(40)])
    log.run("--store", store, "--plot", tmp_path / "report.png")
    assert (tmp_path / "report.png").read_bytes().startswith(b"\x89PNG")


def test_a_picture_of_nothing_is_refused(log, store, tmp_path):
    log.write(store, [])
    with pytest.raises(TrainingError, match="nothing to plot"):
        log.run("--store", store, "--plot", tmp_path / "report.png")


async def test_a_served_week_is_reported_from_its_store_alone(log, tmp_path):
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
    found = await asyncio.to_thread(log.facts, "--store", tmp_path / "rows.db")
    seen = found["observe"]
    assert (seen["queries"], seen["shares"]) == (30, {"large": 0.0, "small": 1.0})
    assert seen["saving"]["mean"] == pytest.approx(100 * (1 - 1 / 9))
    assert seen["saving"]["lo"] <= 100 * (1 - 1 / 9) <= seen["saving"]["hi"]
    assert (found["shadow"]["runs"], found["shadow"]["agree"]["mean"]) == (30, 1.0)
