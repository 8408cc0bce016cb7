"""`apportion version`."""

from __future__ import annotations

from importlib.metadata import version as installed
from platform import python_version

import typer


def version() -> None:
    """Say which version this is."""
    typer.echo(
        f"apportion {installed('apportion')} (Python {python_version()}, grpcio {installed('grpcio')})"
    )
