"""Examples in docstrings are run."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# needs what only the model server's environment has
RUNS_ELSEWHERE = ("predictors/vllm/", "training/vllm_cpu/")


def with_examples() -> list[str]:
    paths = [
        path for package in ("predictors", "router", "training") for path in (ROOT / package).rglob("*.py")
    ]
    files = {str(path.relative_to(ROOT)) for path in paths if ">>> " in path.read_text()}
    return sorted(file for file in files if not file.startswith(RUNS_ELSEWHERE))


@pytest.mark.parametrize("file", with_examples())
def test_the_examples_of_a_module_give_what_they_say(file: str):
    name = file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert result.attempted > 0
    assert result.failed == 0
