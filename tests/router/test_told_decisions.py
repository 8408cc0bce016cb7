"""A decision in words: few signals are named, a bundle's dozens are left to `explain`."""

from __future__ import annotations

import pytest

from router.client import Mode, Reply, Status
from router.clients.values import DecisionInfo, Used
from router.commands.told import reply_text


@pytest.mark.parametrize(
    ("count", "line"),
    [
        (2, "signals   p_correct/0 0.5, p_correct/1 0.5"),
        (40, "signals   40; `apportion explain DECISION` says them in words"),
    ],
)
def test_dozens_of_signals_are_counted_and_not_listed(count: int, line: str) -> None:
    signals = {f"p_correct/{number}": 0.5 for number in reversed(range(count))}
    info = DecisionInfo("one", 1.0, "utility", Mode.APPLY, signals=signals)
    assert line in reply_text(Reply("d", "r", Status.ANSWERED, (), Used(), {}, info)).splitlines()
