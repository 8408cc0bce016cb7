"""Nothing heavy is imported until it is chosen."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = (
    "mlflow",
    "lightgbm",
    "sklearn",
    "scipy",
    "pyarrow",
    "duckdb",
    "matplotlib",
    "pandas",
    "wordllama",
    "torch",
)


def doors() -> list[str]:
    """The packages, their plug-in folders, and what a command or a caller imports first."""
    packages = (
        path.parent
        for name in ("predictors", "router", "training")
        for path in (ROOT / name).rglob("__init__.py")
    )
    first = (
        ROOT / name
        for name in ("router/__main__.py", "router/client.py", "training/__main__.py", "router/allocator.py")
    )
    paths = [*packages, *(path.with_suffix("") for path in first if path.exists())]
    return sorted(
        ".".join(path.relative_to(ROOT).parts) for path in paths if path != ROOT / "predictors/vllm"
    )


@pytest.mark.parametrize("module", doors())
def test_importing_it_brings_in_nothing_heavy(module: str):
    code = f"import sys, {module}; print(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout.strip()) == (0, ""), run.stderr
