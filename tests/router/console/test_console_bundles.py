"""Bundles on the screen: their history, promoted and rolled back by an operator's hand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from router.rollout.shelf import Shelf

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def page(tmp_path_factory, served_over, small_bundle, chromium) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("bundles")
    shelf = Shelf(folder / "bundles")
    versions = [shelf.add(small_bundle(seed)).version for seed in (1, 2)]
    with served_over(folder, 'bundles = "bundles"\n') as house:
        opened = chromium.new_page()
        opened.goto(f"{house.url}/console/#/bundles")
        opened.versions = versions
        yield opened
        opened.close()


def line(page: Any, version: str) -> Any:
    return page.locator(".bundles li", has_text=version)


def press(page: Any, version: str, place: str) -> None:
    line(page, version).get_by_role("button", name=f"Promote to {place}").click()
    page.get_by_role("dialog").get_by_role("button", name="Promote").click()
    expect(line(page, version).locator(".badge").first).to_have_text(place)


def test_a_bundle_goes_up_step_by_step_and_back(page):
    first, second = page.versions
    expect(page.locator(".bundles li")).to_have_count(2)
    for version in (first, second):
        for place in ("shadow", "canary", "active"):
            press(page, version, place)
    expect(page.get_by_role("region", name="Now")).to_contain_text(second)
    expect(line(page, first).locator(".badge").first).to_have_text("retired")
    page.get_by_role("button", name="Roll back").click()
    page.get_by_role("dialog").get_by_role("button", name="Roll back").click()
    expect(line(page, first).locator(".badge").first).to_have_text("active")
    expect(page.get_by_role("region", name="Now")).to_contain_text(first)
