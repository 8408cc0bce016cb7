"""What the pages tell their readers to type, typed in order, as it stands there."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

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

pytestmark = pytest.mark.timeout(600)


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
    """The commands of the README, copied from it; then its last query stands on the console's screen."""
    chromium = next(filter(None, map(shutil.which, CHROMIUMS)), None)
    if chromium is None:
        pytest.skip("there is no Chromium (Debian: apt install chromium; or set APPORTION_CHROMIUM)")
    example = (ROOT / "router.example.toml").read_text()
    names = iter(("small", "large"))  # what a reader changes: the models' names
    (desk.folder / "router.example.toml").write_text(
        re.sub(r'(?m)^model = "[^"]*"', lambda _: f'model = "{next(names)}"', example)
    )
    readme = page("README.md") if not (ROOT / "README.md").exists() else (ROOT / "README.md").read_text()
    asked = "What is 17 + 25?"
    desk.type_page(
        re.sub(r"(?s)^```python.*?^```", "", readme[readme.index("## Five steps") :], flags=re.MULTILINE)
    )
    picture = desk.folder / "seen.png"
    look = Path(__file__).with_name("look.py")
    desk.type(f"python {look} {chromium} http://127.0.0.1:8080/console/ '{asked}' {picture}\n")
    desk.run(500)
    assert picture.stat().st_size > 10_000


def test_from_first_look_to_upgrade(desk, page):
    """One operator's way: before the servers, observed, trained, on a budget, in trouble, upgraded."""
    desk.type_page(page("before-your-vllm-servers.md"))
    desk.type(STOP)
    desk.type_page(page("train-on-your-own-traffic.md"))
    desk.type(STOP)
    budget = page("set-a-budget.md")
    toml = budget.index("```toml")
    desk.type_page(budget[toml : budget.index("```", toml + 7) + 4])
    desk.type(SERVE + TRAFFIC)
    desk.type_page(budget[budget.index("```", toml + 7) + 4 :])
    desk.type('apportion bundles promote "$version" --to active\n')
    desk.type_page(page("runbook-quality-dropped.md"))
    desk.type_page(page("capacity.md"))
    desk.type_page(page("upgrade.md"))
    desk.type(STOP + SERVE)
    desk.type_page(page("examples.md"))
    said = desk.run(550)
    assert "apportion bundles rollback" in said
