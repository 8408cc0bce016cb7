"""A decision in words: few signals are named, a bundle's dozens are left to `explain`."""

from __future__ import annotations

import pytest

from router.client import Mode, Reply, Status
from router.clients.values import DecisionInfo, SampleSeen, Used
from router.commands.decision_text import reply_text


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


@pytest.mark.parametrize(("begun", "said"), [(1, []), (2, ["1 more, cut or not kept; in the cost, too"])])
def test_samples_that_were_cut_are_counted_beside_those_that_came(begun: int, said: list[str]) -> None:
    seen = SampleSeen("0.0", "large", 0, "5", usage=Used(tokens_in=46, tokens_out=5, samples=1))
    info = DecisionInfo("vote", 1.0, "utility", Mode.APPLY)
    used = Used(tokens_in=46 * begun, tokens_out=5 * begun, samples=begun)
    told = reply_text(Reply("d", "r", Status.ANSWERED, (), used, {}, info, (seen,))).splitlines()
    assert any(f"({begun} sample{'s' * (begun - 1)}, " in line for line in told)
    assert [line.removeprefix("sample").strip() for line in told if " more" in line] == said
