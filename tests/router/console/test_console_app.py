"""Who may reach the console, what it sends, and how calls are told apart from mistakes; without a browser."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer, make_mocked_request

from router.console.app import FOLDER, Console, File, foreign_page, is_address
from router.openai_door.whole_body import BODIES, Bodies

CALLS: list[tuple[str, bytes, str]] = []


async def admin(name: str, body: bytes, authorization: str) -> tuple[int, bytes]:
    CALLS.append((name, body, authorization))
    return 200, b'{"ok": true}'


@pytest.fixture
async def browser(request):
    CALLS.clear()
    app = web.Application()
    app[BODIES] = Bodies(1_000_000)
    app.add_subapp("/console", Console(admin, local_only=getattr(request, "param", True)).application())
    async with TestClient(TestServer(app)) as client:
        yield client


async def test_the_folder_without_its_slash_leads_to_it(browser):
    reply = await browser.get("/console", allow_redirects=False)
    assert (reply.status, reply.headers["Location"]) == (308, "/console/")


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.glob("*.[jcsh]*")))
async def test_every_file_is_sent_with_its_type_and_asked_for_once(browser, name):
    first = await browser.get(f"/console/{name}")
    assert first.status == 200
    assert await first.read() == (FOLDER / name).read_bytes()
    again = await browser.get(f"/console/{name}", headers={"If-None-Match": first.headers["ETag"]})
    assert again.status == 304


async def test_a_page_may_run_our_scripts_only_and_stand_in_no_frame(browser):
    policy = (await browser.get("/console/")).headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy


async def test_no_file_outside_is_sent(browser):
    for path in ("/console/app.py", "/console/..%2fserver.py", "/console/nothing.js"):
        assert (await browser.get(path)).status == 404, path


async def test_a_call_is_passed_on_with_its_key(browser):
    reply = await browser.post(
        "/console/api/GetStatus", json={"a": 1}, headers={"Authorization": "Bearer sesame"}
    )
    assert await reply.json() == {"ok": True}
    assert reply.headers["Cache-Control"] == "no-store"
    assert CALLS == [("GetStatus", b'{"a": 1}', "Bearer sesame")]


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://stranger.example"},
        {"Origin": "null"},
        {"X-Forwarded-For": "10.0.0.9"},
        {"Host": "rebound.example"},
    ],
    ids=str,
)
async def test_a_call_for_a_stranger_is_refused(browser, headers):
    reply = await browser.post("/console/api/SetMode", json={}, headers=headers)
    assert reply.status == 403
    assert CALLS == []


@pytest.mark.parametrize("browser", [False], indirect=True)
async def test_with_authentication_callers_come_from_anywhere(browser):
    headers = {"X-Forwarded-For": "10.0.0.9", "Host": "apportion.example"}
    assert (await browser.post("/console/api/GetStatus", json={}, headers=headers)).status == 200


async def test_a_form_of_another_page_is_no_call(browser):
    reply = await browser.post("/console/api/SetMode", data="{}", headers={"Content-Type": "text/plain"})
    assert reply.status == 415
    assert CALLS == []


def test_only_this_machine_may_ask_where_nobody_is_authenticated():
    console = Console(admin, local_only=True, files={"index.html": File(b"", "text/html", "x")})
    request = make_mocked_request("GET", "/console/", headers={"Host": "127.0.0.1:8080"})
    assert "this machine alone" in console.objection(request)  # a mocked transport has no peer that is ours


@pytest.mark.parametrize(
    ("host", "fine"),
    [
        ("localhost:8080", True),
        ("127.0.0.1", True),
        ("[::1]:8080", True),
        ("192.168.1.4:80", True),
        ("example.com", False),
        ("127.0.0.1.example.com", False),
        ("", False),
    ],
)
def test_an_address_is_told_from_a_name(host, fine):
    assert is_address(host) is fine


def test_a_link_from_elsewhere_may_lead_here():
    assert not foreign_page({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, "h")
    assert foreign_page({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}, "h")


def test_no_file_names_another_site():
    for path in sorted(FOLDER.glob("*.[jcsh]*")):
        found = re.findall(r"(?:https?:)?//[\w.-]+\.\w+", path.read_text())
        assert [one for one in found if "www.w3.org" not in one] == [], path.name


def test_every_module_that_is_imported_is_there_and_loaded_ahead():
    index = (FOLDER / "index.html").read_text()
    for path in sorted(FOLDER.glob("*.js")):
        for name in re.findall(r'from "\./([\w.]+)"', path.read_text()):
            assert (FOLDER / name).exists(), f"{path.name}: {name}"
        assert path.name in index, f"{path.name} would be asked for late"


def test_the_door_says_what_each_file_is_for():
    text = Path(FOLDER / "__init__.py").read_text()
    for path in FOLDER.glob("*.js"):
        assert path.name in text or path.name.startswith("page_") or path.name == "format.js", path.name
