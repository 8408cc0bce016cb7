"""What tests of training share."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def url() -> Iterator[str]:
    """The address of `pretend_openai.py`, a process of its own."""
    command = [sys.executable, str(Path(__file__).with_name("pretend_openai.py"))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.terminate()


@pytest.fixture(scope="session")
def made() -> ModuleType:
    """`made.py`: recordings with a known truth."""
    spec = importlib.util.spec_from_file_location("made_recordings", Path(__file__).with_name("made.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
