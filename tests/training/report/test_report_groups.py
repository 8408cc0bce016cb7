"""The report by tenant, plan or bundle."""

from __future__ import annotations

import pytest

from training.report.groups import groups, in_words
from training.report.rows import Log, Reported, Row


def row(number: int, tenant: str, plan: str, cost: float, **more) -> Row:
    from router.domain.decision import Mode, Status

    return Row(
        f"d{number}", float(number), Mode.APPLY, "b1", plan, plan, Status.ANSWERED, tenant=tenant, cost=cost,
        latency_s=0.1 * number, **more,
    )  # fmt: skip


@pytest.fixture
def log() -> Log:
    rows = (row(1, "a", "small", 10.0), row(2, "a", "large", 30.0), row(3, "b", "small", 5.0))
    told = tuple(
        Reported("correct", value, "number", name, tenant=tenant)
        for name, tenant, value in (("d1", "a", 1.0), ("d2", "a", 0.0))
    )
    return Log(rows, told, 0, 0, spooled=False)


def test_tenants_are_told_apart_the_dearest_first(log):
    found = groups(log, "tenant", "", {})
    assert [one["tenant"] for one in found] == ["a", "b"]
    assert found[0]["dollars"] == pytest.approx(40e-6)
    assert (found[0]["reward"], found[0]["labelled"]) == (0.5, 2)
    assert (found[1]["reward"], found[1]["labelled"]) == (None, 0)


def test_sums_of_money_are_told_without_the_noise_of_floats():
    rows = tuple(row(number, "a", "small", 0.1 * 100 + 1.1) for number in range(3))
    (one,) = groups(Log(rows, (), 0, 0, spooled=False), "tenant", "", {})
    assert (one["dollars"], one["cost"]) == (33.3e-6, 0.0111)


def test_plans_and_bundles_are_other_groupings_of_the_same_rows(log):
    assert {one["plan"]: one["decisions"] for one in groups(log, "plan", "", {})} == {"small": 2, "large": 1}
    assert [one["decisions"] for one in groups(log, "bundle", "", {})] == [3]


def test_the_table_has_a_line_for_each(log):
    said = in_words(groups(log, "tenant", "", {}), "tenant").splitlines()
    assert len(said) == 3
    assert said[0].startswith("TENANT")
    assert "0.500" in said[1]
