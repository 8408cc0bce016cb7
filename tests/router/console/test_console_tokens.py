"""With tokens the console is an operator's: a caller's token opens nothing, an operator's everything."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.timeout(90)]


def made(folder: Any, *words: str) -> str:
    """A token by the command that makes them; its entry goes into the file."""
    ran = subprocess.run(
        [sys.executable, "-m", "router", "token", *words], capture_output=True, text=True, check=True
    )
    with (folder / "tokens.toml").open("a") as file:
        file.write(ran.stdout)
    return next(word for word in ran.stderr.split() if word.startswith("apn_"))


@pytest.fixture(scope="module")
def guarded(tmp_path_factory, served_over) -> Iterator[tuple[str, str, str]]:
    """(address, a caller's token, an operator's)."""
    folder = tmp_path_factory.mktemp("tokens")
    caller, operator = made(folder, "search"), made(folder, "operations", "--role", "operator")
    with served_over(folder, "", '[auth]\ntokens = "tokens.toml"\n') as house:
        yield house.url, caller, operator


def sign_in(page: Any, token: str) -> None:
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Sign in").click()


def test_an_operator_s_token_opens_it_and_a_caller_s_does_not(guarded, chromium):
    url, caller, operator = guarded
    page = chromium.new_page()
    page.goto(f"{url}/console/")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    sign_in(page, caller)
    expect(page.get_by_role("alert").filter(has_text="operators")).to_be_visible()
    sign_in(page, operator)
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    expect(page.locator("#modes button[aria-pressed=true]")).to_have_text("Apply")
    page.close()
