"""Every decision is found by its room: the list at the beginning of the file has each once, under its own name."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

DECISIONS = (Path(__file__).resolve().parents[2] / "DECISIONS.md").read_text("utf-8")


def anchor(heading: str) -> str:
    """As the pages that show Markdown name it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_every_decision_stands_once_in_the_list_of_rooms():
    headings = re.findall(r"^## (.+)$", DECISIONS, re.MULTILINE)
    assert headings[0] == "By room"
    listed = DECISIONS.split("\n## ")[1]
    links = re.findall(r"\[([^\]]+)\]\(#([^)]+)\)", listed)
    assert Counter(headings[1:]) == Counter(text for text, _ in links)
    assert all(target == anchor(text) for text, target in links)
