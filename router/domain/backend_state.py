"""What an operator lets a backend do."""

from __future__ import annotations

from enum import Enum


class BackendState(Enum):
    """Holds for all replicas, until another one is set."""

    ENABLE = "enable"
    DRAIN = "drain"  # running calls end, no new query is given a plan on it
    DISABLE = "disable"  # the same, and running calls are cut: their queries go on without it
