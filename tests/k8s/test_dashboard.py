"""The dashboard and the alerts ask for metrics, labels and label values that the code has."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from router.domain.decision import Status
from router.errors import RouterError
from router.telemetry.catalogue import CATALOGUE, Kind
from router.telemetry.decision_metrics import KINDS
from router.telemetry.state_metrics import STATES

FOLDER = Path(__file__).parents[2] / "k8s" / "grafana"
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "dashboard.json").read_text())
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"]
    for rule in group["rules"]
]
NAME = re.compile(r"\b(?:apportion|process)_\w+")
SELECTOR = re.compile(r"(apportion_\w+)\{([^}]*)\}")
LABEL = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
OF_THE_SCRAPE = {"instance", "job", "le"}


def expressions() -> Iterator[tuple[str, str]]:
    """(where, PromQL)."""
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            yield f"variable {variable['name']}", variable["definition"]
    for rule in RULES:
        yield rule["alert"], rule["expr"]


def metric_of(series: str) -> str:
    """The metric in the catalogue that a series belongs to."""
    if series in CATALOGUE:
        return series
    name = re.sub(r"_(sum|count|bucket)$", "", series)
    wanted = {Kind.HISTOGRAM} if series.endswith("_bucket") else {Kind.HISTOGRAM, Kind.MEAN}
    assert name in CATALOGUE, series
    assert CATALOGUE[name].kind in wanted, series
    return name


EXPRESSIONS = list(expressions())


@pytest.mark.parametrize(("where", "expression"), EXPRESSIONS)
def test_every_series_that_is_asked_for_exists(where: str, expression: str):
    names = [name for name in NAME.findall(expression) if name.startswith("apportion_")]
    assert names or "process_" in expression
    for name in names:
        metric_of(name)


@pytest.mark.parametrize(("where", "expression"), EXPRESSIONS)
def test_labels_are_those_of_the_metric(where: str, expression: str):
    for series, selector in SELECTOR.findall(expression):
        has = {*CATALOGUE[metric_of(series)].labels, *OF_THE_SCRAPE}
        assert {label for label, _, _ in LABEL.findall(selector)} <= has, series
    grouped = {
        label for found in re.findall(r"\b(?:by|on) \(([^)]*)\)", expression) for label in found.split(", ")
    }
    ours = [name for name in NAME.findall(expression) if name.startswith("apportion_")]
    known = {label for series in ours for label in CATALOGUE[metric_of(series)].labels}
    assert grouped <= known | OF_THE_SCRAPE


def reasons(root: type[RouterError]) -> Iterator[str]:
    yield root.reason
    for kind in root.__subclasses__():
        yield from reasons(kind)


def test_values_of_labels_that_alerts_wait_for_can_come():
    can_be = {
        "reason": set(reasons(RouterError)),
        "status": {status.value for status in Status},
        "state": {*STATES, "answering", "resting"},
        "kind": {kind for _, kind in KINDS} | {"other"},
        "result": {"committed", "spooled", "dropped", "lost"},
        "phase": {"choose", "reserve", "sample", "select", "first_text", "whole"},
    }
    seen = 0
    for rule in RULES:
        for _, selector in SELECTOR.findall(rule["expr"]):
            for label, _, value in LABEL.findall(selector):
                assert set(value.split("|")) <= can_be[label], rule["alert"]
                seen += 1
    assert seen > 5


def test_every_metric_is_on_the_dashboard():
    shown = {
        metric_of(name)
        for _, expression in EXPRESSIONS[: -len(RULES)]
        for name in NAME.findall(expression)
        if name.startswith("apportion_")
    }
    assert set(CATALOGUE) - shown == set()


def test_panels_have_their_own_place_and_number():
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


@pytest.mark.parametrize("rule", RULES, ids=[rule["alert"] for rule in RULES])
def test_an_alert_says_what_it_is_and_what_to_do(rule):
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert rule["labels"]["severity"] in {"info", "warning", "critical"}
    assert set(rule["annotations"]) == {"summary", "description"}
    for opened, closed in ("()", "{}", "[]"):
        assert rule["expr"].count(opened) == rule["expr"].count(closed)


def test_a_backend_that_never_gave_a_sample_is_no_reason_to_be_silent():
    (rule,) = (rule for rule in RULES if rule["alert"] == "ApportionBackendFails")
    assert "/" not in rule["expr"].replace("[5m]", "")  # by a series that is not there, nothing is divided
    assert "rate(apportion_samples_total[5m])) or 0 * " in rule["expr"]


def test_alerts_name_commands_that_exist():
    from router.commands import COMMANDS
    from training.commands import COMMANDS as OF_TRAINING

    text = (FOLDER / "alerts.yaml").read_text()
    named = set(re.findall(r"`apportion ([a-z-]+)", text))
    assert named
    assert named <= {*COMMANDS, *OF_TRAINING}
