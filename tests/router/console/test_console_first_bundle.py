"""When the first bundle has come: savings hold over rows that were forecast without one; what failed has saved nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from playwright.sync_api import expect

from router.domain.decision import Status

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

COUNT, FIRST = 80, 40  # the first rows had no bundle, and the forecasts of no bundle are fifty times too high


@pytest.fixture(scope="module")
def rows(make) -> list[Any]:
    found = [make(number, COUNT) for number in range(COUNT)]
    for number, row in enumerate(found[:FIRST]):
        far_off = {name: (None, 50.0 * cost) for name, (_, cost) in row.forecasts.items()}
        large = {"plan": "large", "cost": row.forecasts["large"][1]}
        found[number] = replace(row, bundle="", forecasts=far_off, policy="reference", **large)
    samples = tuple(replace(one, answer=None, text="") for one in found[-2].samples)
    found[-2] = replace(found[-2], samples=samples, answer=None, answer_text=None, query_text=None)
    nothing = {"samples": (), "usage": {}, "cost": 0.0, "costs": {}, "answer": None, "answer_text": None}
    found[-1] = replace(found[-1], plan="small", status=Status.FAILED, error="NO_BACKEND: gone", **nothing)
    return found


@pytest.fixture(scope="module")
def page(tmp_path_factory, served_over, store_of, rows, chromium) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("first-bundle")
    store_of(folder / "apportion.db", rows, 0)
    with served_over(folder, "") as house:
        opened = chromium.new_page()
        opened.goto(f"{house.url}/console/")
        opened.wait_for_selector(".rows li")
        yield opened
        opened.close()


def test_forecasts_without_a_bundle_do_not_spoil_the_saving_of_a_bundle(page, rows):
    answered = rows[:-1]
    saved = 1 - sum(row.cost for row in answered) / (len(answered) * rows[-2].forecasts["large"][1])
    expect(page.locator(".tile", has_text="Saved")).to_contain_text(f"{100 * saved:.0f} %")


def test_a_query_without_an_answer_has_saved_nothing(page, rows):
    page.evaluate("location.hash = '#/decisions'")
    line = page.locator(f".rows li[data-key='{rows[-1].decision_id}']")
    expect(line).to_contain_text("NO_BACKEND")
    expect(line).not_to_contain_text("saved")


def test_an_answer_that_is_not_kept_is_not_called_missing(page, rows):
    page.evaluate("id => { location.hash = `#/decisions/${id}`; }", rows[-2].decision_id)
    expect(page.get_by_role("region", name="What came back")).to_contain_text("an answer, not kept")
