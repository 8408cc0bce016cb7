"""The page of the HTTP door: its commands, typed; and every path, key and status of the door stands in it."""

from __future__ import annotations

import re

import pytest

from router.openai_door.errors import STATUSES
from router.openai_door.openapi import REFUSED_BY_HTTP, document
from router.openai_door.request_types import ConstraintsAsked, PreferencesAsked, RouterAsked

DOOR = """
[metrics]
on_door = true

[server]
http_listen = "127.0.0.1:8080"
forward = { "/v1/embeddings" = "small" }
"""


@pytest.fixture
def http_page(page):
    return page("http-api.md")


def test_every_path_of_the_door_is_there(http_page):
    told = document(("auto",), "1", metrics=True)["paths"]
    assert len(told) >= 7
    for path, methods in told.items():
        for method in methods:
            assert f"`{method.upper()} {path}`" in http_page


def test_every_key_of_the_object_router_is_there(http_page):
    for kind in (RouterAsked, ConstraintsAsked, PreferencesAsked):
        for key in kind.__struct_fields__:
            assert f"`{key}`" in http_page, key


def test_every_status_of_a_refusal_is_there(http_page):
    listed = {int(one) for row in re.findall(r"(?m)^\| ([\d, ]+) \|", http_page) for one in row.split(",")}
    assert listed == {status for _, status, _, _ in STATUSES} | set(REFUSED_BY_HTTP)


@pytest.mark.timeout(600)
def test_its_commands_do_what_it_says(desk, page, http_page):
    """Over the service of the quick start; a request that fails ends the script."""
    (config,) = re.findall(r"(?s)cat > router\.toml <<'TOML'\n.*?\nTOML\n", page("quick-start.md"))
    desk.type(config)
    desk.type_page(f"```toml\n{DOOR}```\n")
    desk.type("apportion serve --config router.toml &\n")
    desk.type_page(http_page)
    said = desk.run(300)
    for seen in (
        '"object":"chat.completion"',
        '"object":"text_completion"',
        "data: [DONE]",
        '"duplicate":false',
    ):
        assert seen in said.replace(": ", ":").replace("data:", "data: "), seen
    assert said.count('"duplicate":false') == 2
    assert "apportion_running_queries" in (desk.folder / "metrics.txt").read_text()
    assert "/v1/embeddings" in (desk.folder / "openapi.json").read_text()
