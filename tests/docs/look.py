"""Open a page in a real Chromium and see whether a text is on the screen: `look.py CHROMIUM URL TEXT PICTURE`."""

from __future__ import annotations

import os
import sys

from playwright.sync_api import expect, sync_playwright


def main() -> None:
    chromium, url, text, picture = sys.argv[1:]
    with sync_playwright() as driver:
        options = ["--no-sandbox"] if os.getuid() == 0 else []
        browser = driver.chromium.launch(executable_path=chromium, args=options)
        page = browser.new_page()
        page.goto(url)
        expect(page.locator(".rows li").filter(has_text=text).first).to_be_visible(timeout=20_000)
        page.screenshot(path=picture)
        browser.close()


if __name__ == "__main__":
    main()
