"""Following a recipe of CONTRIBUTING.md takes one file and one line, and the contract tests pick it up.

Each recipe is carried out in a copy of the project; then the contract tests run there, for the new name alone.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RECIPE = re.compile(
    r"`(?P<path>[\w/]+\.py)`:\n\n```python\n(?P<code>.*?)```\n\n"
    r"and its line in `(?P<table>[A-Z_]+)` of `(?P<door>[\w/]+\.py)`:\n\n```python\n(?P<line>.*?)\n```",
    re.DOTALL,
)
CONTRACTS = {
    "STOPPING_RULES": "test_stopping_contract.py",
    "SELECTORS": "test_selector_contract.py",
    "VERIFIERS": "test_verifier_contract.py",
    "PREDICTORS": "test_predictor_contract.py",
    "BACKENDS": "test_backend_contract.py",
    "POLICIES": "test_policy_contract.py",
    "IMPORTERS": "test_importer_contract.py",
}
RECIPES = {found["table"]: found for found in RECIPE.finditer((ROOT / "CONTRIBUTING.md").read_text())}


def test_there_is_a_recipe_for_every_table():
    assert sorted(RECIPES) == sorted(CONTRACTS)


@pytest.mark.parametrize("table", sorted(CONTRACTS))
@pytest.mark.timeout(300)
def test_one_file_and_one_line_are_enough(table, tmp_path):
    recipe = RECIPES[table]
    for folder in ("predictors", "router", "training", "tests/contracts"):
        shutil.copytree(
            ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__", "recordings")
        )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / recipe["path"]).write_text(recipe["code"])
    door = tmp_path / recipe["door"]
    opening = f"{table} = {{\n"
    assert door.read_text().count(opening) == 1
    door.write_text(door.read_text().replace(opening, f"{opening}{recipe['line']}\n"))
    name = re.findall(r'"([^"]+)"', recipe["line"])[0]
    ran = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-n0",
            "-k",
            name,
            f"tests/contracts/{CONTRACTS[table]}",
        ],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr[-2000:]
    passed = re.search(r"(\d+) passed", ran.stdout)
    assert passed, ran.stdout[-2000:]
    assert int(passed[1]) >= 3


@pytest.mark.parametrize("table", sorted(CONTRACTS))
def test_a_recipe_is_typed_and_formatted_like_the_rest(table, tmp_path):
    recipe = RECIPES[table]
    target = tmp_path / Path(recipe["path"]).name
    target.write_text(recipe["code"])
    ruff = [
        str(Path(sys.executable).parent / "ruff"),
        "check",
        "--quiet",
        "--config",
        str(ROOT / "pyproject.toml"),
    ]
    ran = subprocess.run(
        [*ruff, "--ignore", "INP001", str(target)], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert ran.returncode == 0, ran.stdout
