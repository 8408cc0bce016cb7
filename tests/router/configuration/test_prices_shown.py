"""What `check` shows is charged now."""

from __future__ import annotations

import pytest

from router.configuration.build_plans import build_plans
from router.configuration.file import load
from router.configuration.summary import summary

DATED = """
[backends.small]
kind = "scripted"
price_out = 2.0
max_tokens = 100
prices = [{ since = "2025-01-01", price_out = 7.0 }, { since = "2999-01-01", price_out = 9.0 }]
[[plans]]
name = "one"
stages = [{ backend = "small" }]
"""


@pytest.mark.parametrize(("at", "price"), [(0.0, 2.0), (1_800_000_000.0, 7.0)])
def test_prices_and_worst_cases_are_those_of_a_time(tmp_path, at, price):
    path = tmp_path / "router.toml"
    path.write_text(DATED)
    config = load(path)
    found = summary(config, build_plans(config), at)
    assert found["backends"]["small"]["price_out"] == price
    assert found["plans"]["one"]["worst_case_dollars"] == pytest.approx(100 * price / 1e6)
