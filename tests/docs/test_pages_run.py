"""What the pages tell their readers to type, typed in order, as it stands there."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from router.rollout.shelf import Shelf

ROOT = Path(__file__).resolve().parents[2]
CHROMIUMS = (
    os.environ.get("APPORTION_CHROMIUM", ""),
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
)
SERVE = "apportion serve --config router.toml --http-listen 127.0.0.1:8080 &\n"
STOP = "kill %% && wait %%\n"
TRAFFIC = """
for tenant in search support; do
  for text in "Spell 'hat' in reverse." "What is the opposite of 'high'?" "Add 68 and 62."; do
    apportion ask "$text" --tenant "$tenant" >/dev/null
  done
done
"""

pytestmark = pytest.mark.timeout(1000)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The checkout, with nothing in it that a command could spoil."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    for path in ROOT.iterdir():
        if path.name not in (".git", "demo-out", "try"):
            (folder / path.name).symlink_to(path)
    return folder


def test_the_quick_start(checkout, desk, page):
    desk.folder, desk.script = checkout, []
    desk.type_page(page("quick-start.md"))
    said = desk.run(300)
    assert said.count("cascade") >= 2
    assert '"object":"chat.completion"' in said.replace(" ", "")


def test_a_stranger_follows_the_readme_and_sees_a_decision_in_the_browser(desk, page):
    """The commands of the README, copied from it; then its last decision stands on the console's screen."""
    chromium = next(filter(None, map(shutil.which, CHROMIUMS)), None)
    if chromium is None:
        pytest.skip("there is no Chromium (Debian: apt install chromium; or set APPORTION_CHROMIUM)")
    example = (ROOT / "router.example.toml").read_text()
    names = iter(("small", "large"))  # what a reader changes: the models' names
    (desk.folder / "router.example.toml").write_text(
        re.sub(r'(?m)^model = "[^"]*"', lambda _: f'model = "{next(names)}"', example)
    )
    readme = (ROOT / "README.md").read_text()  # not the index of the pages, which has the same name
    desk.script = []  # its model servers are the README's own
    desk.type_page(
        re.sub(r"(?s)^```python.*?^```", "", readme[readme.index("## Five steps") :], flags=re.MULTILINE)
    )
    picture = desk.folder / "seen.png"
    look = Path(__file__).with_name("look.py")
    desk.type(f'python {look} {chromium} http://127.0.0.1:8080/console/ "$decision" {picture}\n')
    desk.run(900)
    assert picture.stat().st_size > 10_000


def test_before_your_servers_and_trained_on_your_traffic(desk, page):
    desk.type_page(page("before-your-vllm-servers.md"))
    desk.type(STOP)
    desk.type_page(page("train-on-your-own-traffic.md"))
    said = desk.run(900)
    assert "active" in said


def test_on_a_budget_in_trouble_and_upgraded(desk, page, small_bundle):
    """The pages for operators, over a service that has bundles and traffic of two tenants."""
    shelf = Shelf(desk.folder / "bundles")
    versions = [shelf.add(small_bundle(seed)).version for seed in (1, 2)]
    desk.type(re.findall(r"(?s)```sh\n(.*?)```", page("before-your-vllm-servers.md"))[0])
    desk.type_page('```toml\nbundles = "bundles"\n```\n')
    budget = page("set-a-budget.md")
    behind = budget.index("```", budget.index("```toml") + 7) + 4
    desk.type_page(budget[:behind])
    desk.type(SERVE + TRAFFIC + "".join(f"apportion bundles promote {one} --to active\n" for one in versions))
    desk.type_page(budget[behind:])
    desk.type_page(page("runbook-quality-dropped.md"))
    desk.type_page(page("capacity.md"))
    desk.type_page(page("upgrade.md"))
    desk.type(STOP + SERVE)
    desk.type_page(page("examples.md"))
    said = desk.run(900)
    after = said.rindex("apportion bundles rollback")
    assert re.search(rf"{versions[0]} +active", said[after:])  # the runbook went back to the bundle before
    assert "x-apportion-decision-id" in said
