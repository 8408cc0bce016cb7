"""What is on the screen: the console in a real Chromium before the real server."""

from __future__ import annotations

import json
import urllib.request

import pytest
from playwright.sync_api import expect

from router.client import SyncAdminClient
from router.domain.decision import Mode

pytestmark = [pytest.mark.browser, pytest.mark.timeout(90)]

PAGES = ("", "decisions", "budget", "quality", "plans", "bundles")


def ask(house, text: str, model: str = "vote") -> str:
    """One query through the OpenAI door; its decision's id."""
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": text}]}).encode()
    request = urllib.request.Request(
        f"{house.url}/v1/chat/completions", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as reply:
        return str(reply.headers["x-apportion-decision-id"])


def go(page, name: str) -> None:
    page.evaluate("name => { location.hash = '#/' + name; }", name)


def test_the_first_page_shows_the_money_the_menu_and_the_newest_decisions(page, rows):
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    expect(page.locator(".rows li")).to_have_count(12)
    expect(page.locator(".rows li").first).to_contain_text(rows[-1].query_text)
    expect(page.locator(".rows li").first).to_contain_text(rows[-1].plan)
    expect(page.locator(".tile", has_text="Spent")).to_contain_text("of $2.00 per 60 min")
    expect(page.locator("#modes button[aria-pressed=true]")).to_have_text("Apply")
    expect(page.locator(".warn")).to_contain_text("bundle")  # there is none, and that is said


def test_a_query_appears_while_one_looks(page, house):
    ask(house, "Will it appear?")
    expect(page.locator(".rows li").first).to_contain_text("Will it appear?")


def test_a_decision_says_why_what_came_and_where_it_stopped(page, house):
    decision = ask(house, "How much is 2 + 2?")
    page.locator(".rows li", has_text="How much is 2 + 2?").first.get_by_role("link").click()
    expect(page.get_by_role("heading", name="How much is 2 + 2?")).to_be_visible()
    assert page.url.endswith(f"#/decisions/{decision}")
    stopped = page.get_by_role("region", name="Where it stopped")
    expect(stopped).to_contain_text("agreement")
    expect(stopped).to_contain_text("of at most 5")
    came = page.get_by_role("region", name="What came back")
    expect(came.locator(".samples li").first).to_contain_text("A 1")  # the tally after the first sample
    expect(came.locator(".samples li .won")).to_have_count(2)  # two equal answers were enough
    expect(page.get_by_role("region", name="Why this plan")).to_contain_text(
        "The caller asked for this plan."
    )
    page.get_by_role("link", name="‹ Decisions").click()
    expect(page.get_by_role("heading", name="Decisions", exact=True)).to_be_visible()


def test_a_made_row_shows_signals_forecasts_and_its_outcome(page, rows):
    row = rows[-1]
    go(page, f"decisions/{row.decision_id}")
    expect(page.get_by_role("region", name="Signals")).to_contain_text("p_correct/small")
    expect(page.get_by_role("region", name="Reported")).to_contain_text("correct")
    plans = page.get_by_role("region", name="Plans that were feasible").locator("tbody tr")
    expect(plans).to_have_count(4)
    worth = {name: quality - row.price * cost * 1e-6 for name, (quality, cost) in row.forecasts.items()}
    expect(plans.first).to_contain_text(max(worth, key=worth.__getitem__))  # the best first
    expect(page.locator("tr.taken")).to_contain_text(row.plan)


@pytest.mark.parametrize(("plan", "says"), [("large", False), ("small", True)])
def test_only_what_took_another_plan_than_the_reference_saved(page, rows, plan, says):
    row = next(row for row in reversed(rows) if row.plan == plan)
    go(page, f"decisions/{row.decision_id}")
    stopped = page.get_by_role("region", name="Where it stopped")
    expect(stopped).to_contain_text("Cost")
    expect(stopped.get_by_text("large instead", exact=True)).to_have_count(int(says))


def test_bypass_is_reached_and_confirmed_by_the_keyboard_alone(page, house):
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == "Bypass":
            break
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text("ends all cleverness")
    page.keyboard.press("Enter")
    expect(page.locator("#modes button[aria-pressed=true]")).to_have_text("Bypass")
    with SyncAdminClient(house.admin) as admin:
        assert admin.status().mode is Mode.BYPASS
    page.get_by_role("button", name="Apply").click()
    page.get_by_role("dialog").get_by_role("button", name="Apply").click()
    expect(page.locator("#modes button[aria-pressed=true]")).to_have_text("Apply")


def test_leaving_the_dialog_changes_nothing(page, house):
    page.get_by_role("button", name="Observe").click()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    with SyncAdminClient(house.admin) as admin:
        assert admin.status().mode is Mode.APPLY


def test_a_backend_is_drained_and_enabled(page):
    go(page, "plans")
    line = page.locator("tr", has=page.get_by_role("rowheader", name="large", exact=True))
    line.get_by_role("button", name="Drain").click()
    page.get_by_role("dialog").get_by_role("button", name="Drain").click()
    expect(line).to_contain_text("draining")
    line.get_by_role("button", name="Enable").click()
    page.get_by_role("dialog").get_by_role("button", name="Enable").click()
    expect(line).to_contain_text("enabled")


def test_words_narrow_the_list(page, rows):
    go(page, "decisions")
    page.get_by_label("Find").fill("cascade support")
    wanted = [row for row in rows if row.plan == "cascade" and row.tenant == "support"]
    expect(page.get_by_role("status").filter(has_text="of the last")).to_contain_text(
        f"{len(wanted)} of the last"
    )
    expect(page.locator(".rows li")).to_have_count(len(wanted))


def test_a_strangers_text_is_text(page, house):
    asked = "<img src=x onerror=\"document.title='taken over'\"><b>bold</b>"
    decision = ask(house, asked)
    go(page, f"decisions/{decision}")
    expect(page.get_by_role("heading", name="<b>bold</b>")).to_be_visible()
    assert page.locator("main img, h1 b").count() == 0
    assert "taken over" not in page.title()


def test_light_and_dark_follow_the_system_and_the_button(page, house):
    def ground() -> str:
        return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))

    light = ground()
    page.emulate_media(color_scheme="dark")
    dark = ground()
    assert dark != light
    page.get_by_role("button", name="Switch between light and dark").click()
    assert ground() == light
    page.reload()
    assert ground() == light  # it is remembered


CONTRAST = """
() => {
  const lightness = (colour) => {
    const [r, g, b] = colour.match(/[\\d.]+/g).slice(0, 3).map((one) => one / 255).map((one) => (one <= 0.03928 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const under = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const colour = getComputedStyle(one).backgroundColor;
      if (!colour.startsWith("rgba(0, 0, 0, 0)")) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const texts = [...document.querySelectorAll("h1,h2,h3,p,a,button,td,th,dt,dd,small,span,code,i,summary")];
  return texts.filter((one) => one.checkVisibility() && [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim())).map((one) => {
    const [a, b] = [lightness(getComputedStyle(one).color), lightness(under(one))].sort((x, y) => y - x);
    return [(a + 0.05) / (b + 0.05), one.tagName + "." + one.className + " " + one.textContent.slice(0, 40)];
  }).filter(([ratio]) => ratio < 4.5);
}
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read_against_its_ground(page, rows, scheme):
    """WCAG AA: 4.5 to 1."""
    page.emulate_media(color_scheme=scheme)
    for name in (*PAGES, f"decisions/{rows[-1].decision_id}"):
        go(page, name)
        page.wait_for_selector("main h1")
        assert page.evaluate(CONTRAST) == [], name


def test_every_control_and_picture_has_a_name(page):
    for name in PAGES:
        go(page, name)
        page.wait_for_selector("main h1")
        unnamed = page.evaluate(
            "() => [...document.querySelectorAll('a, button, input, [role=img], [role=region]')].filter((one) =>"
            " !(one.getAttribute('aria-label') || one.textContent.trim() || one.labels?.length)).map((one) => one.outerHTML)"
        )
        assert unnamed == []
        assert page.locator("main h1").count() == 1


def test_while_the_log_cannot_be_read_the_rest_is_told_and_the_mode_can_be_set(page):
    away = {"status": 503, "json": {"code": "UNAVAILABLE", "message": "decision store: connection refused"}}
    page.route("**/api/ListDecisions", lambda route: route.fulfill(**away))
    page.reload()
    said = page.get_by_role("alert")
    expect(said).to_contain_text("Decisions cannot be read")
    expect(said).to_contain_text("connection refused")
    expect(page.get_by_role("button", name="Bypass")).to_be_enabled()
    expect(page.locator(".tile").first).to_contain_text("Spent")
    expect(page.locator("#pulse")).to_contain_text("apply")
    for name in ("overview", "budget", "decisions"):
        go(page, name)
        expect(page.locator(".empty").first).to_have_text("Not known while decisions cannot be read.")
        expect(page.locator("main")).not_to_contain_text("Nothing was spent yet")
    go(page, "overview")
    page.unroute("**/api/ListDecisions")
    expect(page.locator(".rows li")).to_have_count(12)
    expect(said).to_have_count(0)


def test_long_names_push_nothing_out_of_sight(page, rows):
    page.set_viewport_size({"width": 1280, "height": 800})
    for name in ("budget", "plans", f"decisions/{rows[-1].decision_id}"):
        go(page, name)
        page.wait_for_selector("main tbody th")
        hidden = page.evaluate(
            "() => { for (const one of document.querySelectorAll('main tbody th')) one.textContent = 'a-name-'.repeat(12);"
            " return [...document.querySelectorAll('main .scroll')].filter((one) => one.scrollWidth > one.clientWidth).length; }"
        )
        assert hidden == 0, name


def test_a_phone_shows_every_page_without_sideways_scrolling(page, rows):
    page.set_viewport_size({"width": 360, "height": 740})
    for name in (*PAGES, f"decisions/{rows[-1].decision_id}"):
        go(page, name)
        page.wait_for_selector("main h1")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, name
    small = page.evaluate(
        "() => [...document.querySelectorAll('nav a, #modes button')].map((one) => one.getBoundingClientRect())"
        ".filter((box) => box.height < 32 || box.right > 361).length"
    )
    assert small == 0  # all can be hit with a thumb


def test_nothing_is_asked_from_elsewhere(page, house):
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.reload()
    page.wait_for_selector(".rows li")
    assert asked
    assert all(url.startswith(f"{house.url}/console/") for url in asked)


def test_a_service_that_is_gone_is_said(page):
    page.route("**/api/*", lambda route: route.abort())
    expect(page.get_by_role("alert").filter(has_text="does not answer")).to_be_visible()
    page.unroute("**/api/*")
    expect(page.get_by_role("alert").filter(has_text="does not answer")).to_be_hidden()


def test_who_needs_a_key_is_asked_for_it(page):
    sent: list[str | None] = []

    def answer(route) -> None:
        key = route.request.headers.get("authorization")
        sent.append(key)
        if key == "Bearer sesame":
            route.continue_()
        else:
            route.fulfill(status=401, json={"code": "UNAUTHENTICATED", "message": "whose key?"})

    page.route("**/api/*", answer)
    page.reload()
    page.get_by_label("Token").fill("sesame")
    page.keyboard.press("Enter")
    page.wait_for_selector(".rows li")
    assert "Bearer sesame" in sent
