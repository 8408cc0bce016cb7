"""The made-up world and the weeks in it, for the tests beside it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


def load(name: str) -> ModuleType:
    """A module of this folder; tests are no packages."""
    full = f"cold_start_{name}"
    if full not in sys.modules:
        spec = importlib.util.spec_from_file_location(full, Path(__file__).with_name(f"{name}.py"))
        assert spec is not None and spec.loader is not None
        sys.modules[full] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[full])
    return sys.modules[full]


@pytest.fixture(scope="session")
def world() -> ModuleType:
    """`world.py`."""
    return load("world")


@pytest.fixture(scope="session")
def weeks() -> ModuleType:
    """`weeks.py`."""
    return load("weeks")
