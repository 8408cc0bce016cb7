"""What is drawn is what the rows say: savings, frontier, reliability, spending; over rows of a known making alone."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]


def go(page, name: str) -> None:
    page.evaluate("name => { location.hash = '#/' + name; }", name)


def numbers(page, label: re.Pattern[str]) -> list[list[str]]:
    """The table beside a chart, without its heading."""
    found = page.locator("figure", has=page.get_by_role("img", name=label)).locator("tbody tr")
    return [found.nth(line).locator("td").all_text_contents() for line in range(found.count())]


def test_what_was_saved_is_against_the_reference_plan(page, rows):
    expect(page.locator(".legend .plan")).to_have_count(4)  # all rows are there
    saved = 1 - sum(row.cost for row in rows) / (len(rows) * 200.0)
    expect(page.locator(".tile", has_text="Saved")).to_contain_text(f"{100 * saved:.0f} %")


@pytest.mark.parametrize(
    ("share", "digits", "said"),
    [(-0.004, 0, "0 %"), (-0.006, 0, "−1 %"), (-0.0004, 1, "0.0 %"), (-0.054, 1, "−5.4 %"), (0.5, 0, "50 %")],
)
def test_a_share_that_rounds_to_nothing_has_no_sign(page, share, digits, said):
    script = "async ([share, digits]) => (await import('./format.js')).percent(share, digits)"
    assert page.evaluate(script, [share, digits]) == said


def test_the_frontier_is_that_of_the_rows(page, rows):
    go(page, "quality")
    expect(page.get_by_role("region", name="Cost and quality")).to_contain_text(
        "forecasts of the last 300 queries"
    )
    table = {line[0]: line[1:] for line in numbers(page, re.compile("Expected quality against cost"))}
    for plan in ("small", "vote", "cascade", "large"):
        quality = sum(row.forecasts[plan][0] for row in rows) / len(rows)
        cost = sum(row.forecasts[plan][1] for row in rows) / len(rows) * 1e-3
        assert table[plan][1] == f"{quality:.2f}".removeprefix("0")
        assert float(table[plan][0].removeprefix("$")) == pytest.approx(cost, rel=0.01)
    here = sum(row.forecasts[row.plan][0] for row in rows) / len(rows)
    assert table["here"][1] == f"{here:.2f}".removeprefix("0")


def test_the_reliability_diagram_counts_what_was_reported(page):
    go(page, "quality")
    expect(page.get_by_role("region", name="Answers")).to_contain_text("over 200 answers")
    bins = numbers(page, re.compile("^Answers: predicted against reported"))
    assert len(bins) == 10
    assert sum(int(line[4]) for line in bins) == 200
    for predicted, real, *_ in bins:  # made to be calibrated; 20 answers a bin
        assert abs(float(predicted) - float(real)) < 0.4


def test_spending_adds_up(page, rows):
    go(page, "budget")
    spending = page.get_by_role("region", name="Spending", exact=True)
    expect(spending).to_contain_text(re.compile(r"the last 3\d\d queries"))  # all rows are there
    bars = numbers(page, re.compile("^Spending over time"))
    assert sum(int(line[-1]) for line in bars) >= len(rows)
    expect(page.get_by_role("region", name="Accounts").first).to_contain_text("search-team")
