"""What is true of every file of the project, whoever wrote it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("predictors", "router", "training")
MAX_LINES = 350


def hand_written(pattern: str, *folders: str) -> list[Path]:
    """Files below the folders that nobody generated, sorted."""
    found = (path for folder in folders for path in (ROOT / folder).rglob(pattern))
    return sorted(path for path in found if "_pb2" not in path.name and "__pycache__" not in path.parts)


def relative(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


def test_no_hand_written_python_file_is_longer_than_350_lines():
    paths = hand_written("*.py", *PACKAGES, "tests", ".ci")
    lengths = {path: len(path.read_text().splitlines()) for path in paths}
    assert not relative([path for path, lines in lengths.items() if lines > MAX_LINES])


def test_there_are_files_to_look_at():
    assert {path.parts[len(ROOT.parts)] for path in hand_written("*.py", *PACKAGES)} == set(PACKAGES)


def test_no_package_is_hidden_by_an_init_file_in_tests():
    assert not relative(list((ROOT / "tests").rglob("__init__.py")))


def test_no_two_test_files_share_a_name():
    names = [path.name for path in hand_written("test_*.py", "tests")]
    assert sorted({name for name in names if names.count(name) > 1}) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_is_named_like_one_of_the_standard_library(package: str):
    public = {name for name in sys.stdlib_module_names if not name.startswith("_")}
    assert not [path for path in relative(hand_written("*.py", package)) if Path(path).stem in public]


@pytest.mark.parametrize("word", ["utils", "helpers", "manager", "base", "common", "misc"])
def test_no_module_is_named_for_a_pattern(word: str):
    assert not [
        path for path in relative(hand_written("*.py", *PACKAGES)) if word in Path(path).stem.split("_")
    ]


def test_every_package_has_a_door():
    """A folder with modules and no `__init__.py` is a namespace package: it is not what its neighbours are."""
    folders = {path.parent for path in hand_written("*.py", *PACKAGES)}
    assert not relative(sorted(folder for folder in folders if not (folder / "__init__.py").exists()))


def test_every_module_begins_with_its_idea():
    silent = [
        path for path in hand_written("*.py", *PACKAGES) if not path.read_text().startswith(('"""', 'r"""'))
    ]
    assert not relative(silent)


def test_proto_holds_no_python():
    assert not relative(list((ROOT / "proto").rglob("*.py*")))


def test_the_installed_project_does_not_offer_a_module_called_proto():
    """PyPI's proto-plus owns the name."""
    code = "import importlib.util as u, router; assert u.find_spec('proto') is None, u.find_spec('proto')"
    run = subprocess.run(
        [sys.executable, "-P", "-c", code], cwd="/", capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr


def test_packages_tell_type_checkers_that_they_are_typed():
    assert all((ROOT / package / "py.typed").exists() for package in PACKAGES)
