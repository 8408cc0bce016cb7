"""Logs of known truth."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from training.off_policy.logged import LoggedRows


def logged_rows(n: int = 0, width: int = 2, **given: object) -> LoggedRows:
    """Even odds between the actions, the first drawn, reward 1; `given` replaces fields."""
    filled: dict[str, object] = {
        "actions": tuple(f"digest-{place}" for place in range(width)),
        "plans": tuple(f"plan-{place}" for place in range(width)),
        "features": np.zeros((n, 1)),
        "probabilities": np.full((n, width), 1 / width),
        "action": np.zeros(n, dtype=np.int64),
        "reward": np.ones(n),
        "cost": np.ones(n),
        "latency": np.ones(n),
        "time": np.arange(n, dtype=np.float64),
        "tenant": np.full(n, "somebody"),
        "task": np.full(n, ""),
        "cluster": -1 - np.arange(n, dtype=np.int64),
    }
    return LoggedRows(**(filled | given))  # type: ignore[arg-type]


@pytest.fixture
def rows() -> Callable[..., LoggedRows]:
    return logged_rows
