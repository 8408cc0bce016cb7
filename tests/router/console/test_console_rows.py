"""How soon the first data stands on the screen, with many decisions in the log."""

from __future__ import annotations

import os
import statistics
import time

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

ROWS = int(os.environ.get("APPORTION_CONSOLE_ROWS", "2000"))
LOOKS = 5


@pytest.fixture(scope="module")
def rows() -> list:
    return []


def test_the_first_data_needs_one_small_page_of_rows(chromium, tmp_path, serve, make, store_of, config):
    """With APPORTION_CONSOLE_ROWS (`make console-rows`) it is measured: the median of five looks within a second."""
    (tmp_path / "router.toml").write_text(config)
    store_of(tmp_path / "apportion.db", [make(n, ROWS) for n in range(ROWS)], min(ROWS, 20_000))
    took: list[float] = []
    with serve(tmp_path) as house:
        for _ in range(LOOKS):
            context = chromium.new_context()
            page = context.new_page()
            asked: list[str] = []
            page.on("request", lambda request, asked=asked: asked.append(request.post_data or ""))
            began = time.perf_counter()
            page.goto(f"{house.url}/console/", wait_until="commit")
            page.wait_for_selector(".rows li")
            took.append(time.perf_counter() - began)
            pages = [body for body in asked if "page_size" in body]
            assert pages[0] == '{"page_size":12}'
            assert page.locator(".rows li").first.text_content().startswith(f"What is {ROWS - 1} + 1?")
            context.close()
    said = f"{ROWS:,} decisions: first data after {statistics.median(took):.2f} s ({', '.join(f'{one:.2f}' for one in took)})"
    print(f"\n{said}")  # noqa: T201 (`make console-rows` shows it)
    if "APPORTION_CONSOLE_ROWS" in os.environ:
        assert statistics.median(took) <= 1.0
