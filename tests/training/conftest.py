"""What tests of training share."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def url() -> Iterator[str]:
    """The address of `pretend_openai.py`, a process of its own."""
    command = [sys.executable, str(Path(__file__).with_name("pretend_openai.py"))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.terminate()
