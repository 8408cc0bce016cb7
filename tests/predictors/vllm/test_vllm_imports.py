"""What runs inside the model server needs the standard library, torch and vLLM, and nothing else."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
MODULES = sorted(path.stem for path in (ROOT / "predictors" / "vllm").glob("*.py") if path.stem != "__init__")
WITH_TORCH = {"connector", "hidden_cache", "reduction", "value_cache"}


def imported(path: Path) -> set[str]:
    """The full names of all modules that a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


@pytest.mark.parametrize("module", MODULES)
def test_a_module_of_the_connector_imports_the_standard_library_torch_vllm_and_its_neighbours(module: str):
    names = imported(ROOT / "predictors" / "vllm" / f"{module}.py")
    foreign = {
        name
        for name in names
        if name.partition(".")[0] not in sys.stdlib_module_names | {"torch", "vllm"}
        and not name.startswith("predictors.vllm.")
    }
    assert foreign == set()


def test_what_the_reader_shares_with_the_connector_can_be_imported_where_nothing_is_installed():
    modules = ", ".join(f"predictors.vllm.{name}" for name in MODULES if name not in WITH_TORCH)
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import {modules}; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False
    )
    assert (done.stdout.strip(), done.stderr) == ("False", "")


def test_without_torch_and_vllm_the_connector_asks_for_them_and_for_nothing_else():
    stubs = """
import sys, types
class Anything(types.ModuleType):
    def __getattr__(self, name):
        return type(name, (), {"__init_subclass__": classmethod(lambda cls, **_: None)})
for name in ("torch", "vllm", "vllm.config", "vllm.logger", "vllm.distributed", "vllm.distributed.parallel_state",
             "vllm.distributed.kv_transfer", "vllm.distributed.kv_transfer.kv_connector",
             "vllm.distributed.kv_transfer.kv_connector.v1", "vllm.distributed.kv_transfer.kv_connector.v1.base"):
    sys.modules[name] = Anything(name)
sys.modules["vllm.logger"].init_logger = lambda name: None
"""
    code = f"{stubs}\nsys.path.insert(0, {str(ROOT)!r})\nimport predictors.vllm.connector as c; print(c.ReducedStates)"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False
    )
    assert "ReducedStates" in done.stdout, done.stderr
