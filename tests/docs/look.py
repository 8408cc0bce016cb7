"""See in a real Chromium whether a decision is on the console's screen: `look.py CHROMIUM URL DECISION_ID PICTURE`."""

from __future__ import annotations

import os
import sys

from playwright.sync_api import expect, sync_playwright


def main() -> None:
    chromium, url, decision, picture = sys.argv[1:]
    with sync_playwright() as driver:
        options = ["--no-sandbox"] if os.getuid() == 0 else []
        browser = driver.chromium.launch(executable_path=chromium, args=options)
        page = browser.new_page()
        page.goto(url)
        expect(page.locator(f".rows li[data-key='{decision}']")).to_be_visible(timeout=30_000)
        page.screenshot(path=picture)
        browser.close()


if __name__ == "__main__":
    main()
