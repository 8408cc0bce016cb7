"""ARCHITECTURE.md says where things are: every folder of ours, and no folder that is not there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "ARCHITECTURE.md").read_text()


def mapped(package: str) -> set[str]:
    """Folders in the first column of the package's table."""
    table = PAGE.split(f"| in `{package}/` |")[1].split("\n\n")[0]
    rows = [line.split("|") for line in table.splitlines()[2:]]
    return {name for row in rows for cell in row[1:3] for name in re.findall(r"`([\w/]+)/`", cell)}


@pytest.mark.parametrize("package", ["router", "training"])
def test_every_folder_has_its_line(package: str):
    there = {
        str(path.parent.relative_to(ROOT / package))
        for path in (ROOT / package).rglob("__init__.py")
        if path.parent != ROOT / package
    }
    assert there - mapped(package) == set()


@pytest.mark.parametrize("package", ["router", "training"])
def test_no_line_is_about_a_folder_that_is_gone(package: str):
    assert [name for name in sorted(mapped(package)) if not (ROOT / package / name).is_dir()] == []


@pytest.mark.parametrize("package", ["router", "training"])
def test_files_and_patterns_of_files_name_some(package: str):
    table = PAGE.split(f"| in `{package}/` |")[1].split("\n\n")[0]
    named = re.findall(r"`(\w+\*?\.py)`", table)
    assert named
    assert [name for name in named if not list((ROOT / package).glob(name))] == []


def test_a_folders_door_lists_files_that_are_there():
    gone = []
    for package in ("predictors", "router", "training"):
        for door in (ROOT / package).rglob("__init__.py"):
            listed = re.findall(r"\b\w+\.py\b", ast.get_docstring(ast.parse(door.read_text())) or "")
            gone += [
                f"{door.relative_to(ROOT)}: {name}" for name in listed if not (door.parent / name).exists()
            ]
    assert not gone
