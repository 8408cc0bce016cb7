"""Every name in a plug-in table leads to a class that exists."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def tables() -> list[tuple[str, str]]:
    """(name, "module:Class") of every table in the doors of the packages: the upper-case mappings to such strings."""
    found = []
    for door in sorted(
        path for name in ("predictors", "router", "training") for path in (ROOT / name).rglob("__init__.py")
    ):
        module = importlib.import_module(".".join(door.parent.relative_to(ROOT).parts))
        for table, value in vars(module).items():
            if table.isupper() and isinstance(value, dict):
                found += [
                    (f"{table}[{name!r}]", target)
                    for name, target in value.items()
                    if isinstance(target, str)
                ]
    return found


@pytest.mark.parametrize(("name", "target"), tables())
def test_a_table_names_something_that_exists(name: str, target: str):
    module, _, attribute = target.partition(":")
    assert attribute, f"{name}: {target!r} is not module:Class"
    assert hasattr(importlib.import_module(module), attribute)


@pytest.mark.parametrize(
    "table", ["BACKENDS", "POLICIES", "PREDICTORS", "SELECTORS", "STOPPING_RULES", "VERIFIERS"]
)
def test_the_tables_are_found(table: str):
    assert any(name.startswith(f"{table}[") for name, _ in tables())
