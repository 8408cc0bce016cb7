"""What was exported comes back: columns, maps, actions, and which outcome is about which decision."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from router.domain.decision import Outcome
from router.shadow import SHADOW_OF, SHADOW_RUN
from training.errors import TrainingError
from training.log.read import read_log


def told(key: str, **changes) -> Outcome:
    plain = Outcome(
        f"o{key}", "correct", value=True, kind="bool", key=key, tenant="tenant-0", observed_at=1.0
    )
    return dataclasses.replace(plain, **changes)


def pairs(log) -> list[tuple[str, str | None]]:
    keys, ids = log.outcomes["key"].to_pylist(), log.texts("decision_id")
    return sorted(
        (keys[one], ids[other]) for one, other in zip(log.pair_outcome, log.pair_decision, strict=True)
    )


def test_numbers_and_names_are_what_was_logged(traffic, export):
    rows = [traffic.decision(n) for n in range(30)]
    log = read_log(export(rows))
    assert log.numbers("cost") == pytest.approx([row.cost for row in rows])
    assert log.times() == pytest.approx([row.created_at for row in rows], abs=1e-5)
    names, place = log.coded("plan")
    assert [names[at] for at in place] == [row.plan for row in rows]
    assert log.texts("query_text") == [row.query_text for row in rows]


def test_signals_come_back_by_name(traffic, export):
    rows = [traffic.decision(n) for n in range(10)]
    found = read_log(export(rows)).named("signals")
    for name in ("p_correct/small", "sample_confidence/0.2"):
        wanted = [row.signals.get(name, np.nan) for row in rows]
        assert found.column(name) == pytest.approx(wanted, nan_ok=True)


def test_features_are_a_table(traffic, export):
    rows = [traffic.decision(n) for n in range(4)]
    rows[2] = dataclasses.replace(rows[2], features=b"")
    found = read_log(export(rows)).features()
    assert (found[1] == np.frombuffer(rows[1].features, "<f4")).all()
    assert np.isnan(found[2]).all()


def test_features_of_two_bundles_are_not_mixed(traffic, export):
    rows = [traffic.decision(0), dataclasses.replace(traffic.decision(1), features=b"\0" * 8)]
    with pytest.raises(TrainingError, match="2, 129 features"):
        read_log(export(rows)).features()


def test_actions_are_digests_and_have_the_logged_chances(traffic, export):
    rows = [traffic.decision(n) for n in range(6)]
    rows[3] = dataclasses.replace(
        rows[3], plan="small", digest="new", propensity=0.9, probabilities={"small": 0.9, "large": 0.1},
        digests={"small": "new", "large": rows[0].digests["large"]},
    )  # fmt: skip
    actions = read_log(export(rows)).actions()
    assert len(actions.digests) == 6
    assert actions.plans[actions.digests.index("new")] == "small"
    assert [actions.digests[at] for at in actions.drawn] == [row.digest for row in rows]
    chances = actions.probabilities[np.arange(6), actions.drawn]
    assert chances == pytest.approx([row.propensity for row in rows])
    assert actions.probabilities.sum(axis=1) == pytest.approx(np.ones(6))
    assert actions.probabilities[3, actions.digests.index(rows[0].digests["small"])] == 0


def test_a_plan_that_took_over_is_an_outcome_of_the_drawn_one(traffic, export):
    row = traffic.decision(0)
    other = next(plan for plan in row.probabilities if plan != row.plan)
    chance = row.probabilities[other]
    over = dataclasses.replace(row, would_plan=other, would_propensity=chance, propensity=chance)
    log = read_log(export([over]))
    actions = log.actions()
    assert actions.digests[actions.drawn[0]] == row.digests[other]
    assert actions.probabilities[0, actions.drawn[0]] == pytest.approx(log.numbers("propensity")[0])
    assert log.texts("plan") == [row.plan]


def test_outcomes_are_joined_by_the_id_they_name_within_their_tenant(traffic, export):
    first = dataclasses.replace(traffic.decision(0), request_id="r", session_id="s")
    second = dataclasses.replace(traffic.decision(5), session_id="s")
    other = dataclasses.replace(traffic.decision(1), request_id="r", session_id="s")
    outcomes = [
        told("by decision", decision_id=first.decision_id, session_id="s"),
        told("by request", request_id="r", session_id="s"),
        told("by session", session_id="s"),
        told("nobody's", session_id=""),
        told("theirs", decision_id=other.decision_id),
    ]
    log = read_log(export([first, second, other], outcomes))
    assert pairs(log) == [
        ("by decision", first.decision_id),
        ("by request", first.decision_id),
        ("by session", first.decision_id),
        ("by session", second.decision_id),
    ]
    assert log.unjoined == 2


def test_what_was_superseded_does_not_count_also_when_it_comes_later(traffic, export):
    row = traffic.decision(0)
    outcomes = [
        told("new", supersedes="old", decision_id=row.decision_id),
        told("theirs", supersedes="new", decision_id=row.decision_id, tenant="tenant-1"),
    ]
    export([row], outcomes)
    log = read_log(export((), [told("old", decision_id=row.decision_id)]))
    assert [key for key, _ in pairs(log)] == ["new"]
    assert log.superseded == 1


def test_a_period_is_half_open_and_a_tenant_sees_its_own(traffic, export):
    out = export([traffic.decision(n) for n in range(10)])
    since, until = traffic.created_at(2), traffic.created_at(8)
    assert len(read_log(out, since=since, until=until)) == 6
    assert read_log(out, since=since, until=until, tenant="tenant-0").texts("decision_id") == [
        traffic.decision_id(5)
    ]


def test_only_the_columns_that_are_asked_for_are_read(traffic, export):
    log = read_log(export([traffic.decision(0)]), columns=("cost",))
    assert log.numbers("cost").shape == (1,)
    with pytest.raises(TrainingError, match="read without 'signals'"):
        log.named("signals")


def test_a_column_that_no_log_has_is_refused_with_the_choices(traffic, export):
    with pytest.raises(TrainingError, match="no costt; choose from decision_id"):
        read_log(export([traffic.decision(0)]), columns=("costt",))


def test_a_shadow_run_is_recognised_and_callers_cannot_pretend_to_be_one(traffic, export):
    shadow = dataclasses.replace(
        traffic.decision(0), metadata={SHADOW_OF: "x"}, unusable_reason=SHADOW_RUN, usable=False
    )
    pretended = dataclasses.replace(traffic.decision(1), metadata={SHADOW_OF: "x"})
    log = read_log(export([shadow, pretended]))
    assert log.shadows.tolist() == [True, False]
    assert log.texts("shadow_of") == ["x", None]


def test_rows_can_be_taken_with_their_outcomes(traffic, export):
    rows = [traffic.decision(n) for n in range(6)]
    log = read_log(export(rows, [traffic.told(n, value=True) for n in (1, 4)]))
    half = log.taken(log.numbers("n") > 3)
    assert pairs(half) == [(traffic.told(4, value=True).key, rows[4].decision_id)]
    assert half.actions().probabilities.shape == (3, 5)
    assert half.named("signals").column("p_correct/large") == pytest.approx(
        log.named("signals").column("p_correct/large")[3:]
    )


def test_where_nothing_was_exported_the_command_is_named(tmp_path):
    with pytest.raises(TrainingError, match=r"apportion export --store … --out"):
        read_log(str(tmp_path))


def test_what_was_forecast_of_the_served_plan_is_found_in_any_part_of_a_log(traffic, export):
    rows = [traffic.decision(n) for n in range(8)]
    rows[5] = dataclasses.replace(rows[5], forecasts={"other": (0.5, 1.0)})
    log = read_log(export(rows))
    wanted = [np.nan if at == 5 else row.forecasts[row.plan][0] for at, row in enumerate(rows)]
    assert log.of_served("forecasts", "quality") == pytest.approx(wanted, nan_ok=True)
    half = log.taken(log.numbers("n") > 3)
    assert half.of_served("forecasts", "quality") == pytest.approx(wanted[3:], nan_ok=True)


def test_decisions_that_ended_in_their_first_stage_are_told_with_its_backend(traffic, export):
    rows = [traffic.decision(n) for n in range(6)]
    later = dataclasses.replace(rows[2].samples[0], stage=1)
    rows[2] = dataclasses.replace(rows[2], samples=(*rows[2].samples, later))
    rows[4] = dataclasses.replace(rows[4], samples=())
    log = read_log(export(rows))
    for part, seen in ((log, rows), (log.taken(log.numbers("n") > 2), rows[2:])):
        names, place = part.first_backends()
        wanted = [
            row.samples[0].backend if at not in (2, 4) else "" for at, row in enumerate(rows) if row in seen
        ]
        assert [names[at] if at >= 0 else "" for at in place] == wanted


def test_rows_that_come_in_another_order_are_read_the_oldest_first(traffic, export):
    rows = [dataclasses.replace(traffic.decision(n), created_at=traffic.created_at(n // 2)) for n in range(9)]
    log = read_log(export([rows[4], *rows[5:], *rows[3::-1]]))
    named = sorted((row.created_at, row.decision_id) for row in rows)
    assert log.texts("decision_id") == [name for _, name in named]
