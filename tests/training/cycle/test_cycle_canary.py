"""What a cycle promotes is tried on a share of the traffic first; the next cycles let it wait, stay or go."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable

import pytest

from router.rollout.releases import BundleState
from training.cycle.journal import Journal
from training.cycle.run import Wishes, run_cycle

pytestmark = pytest.mark.timeout(600)  # a fit and a gate, on a machine that others use
TRIED = Wishes(least_new=50, spend_growth=10.0, canary=0.5)


def clock(start: float) -> Callable[[], float]:
    """Before any decision was made: a canary is judged by what came since it began."""
    ticks = itertools.count()
    return lambda: start + next(ticks)


@pytest.fixture
def canary(place) -> str:
    """The version that the first cycle gave a half of the traffic."""
    version: str = run_cycle(place, TRIED, clock(1e9)).stages["fit"]["version"]
    assert place.shelf.releases().state(version) is BundleState.CANARY
    return version


def earned(version: str, share: float, rest: float):
    """A world in which one bundle's answers are right with P = `share`, all others' with P = `rest`."""
    return lambda decision, easy: share if decision.bundle == version else rest


def test_while_nothing_is_known_of_a_canary_it_is_waited_for_and_nothing_else_is_fitted(place, canary):
    waiting = run_cycle(place, TRIED, clock(1.1e9))
    assert waiting.stages["canary"]["call"] == "keep going"
    assert "fit" not in waiting.stages
    assert place.shelf.releases().canary == canary


def test_a_canary_that_earns_more_takes_over(place, canary, ask_more):
    asyncio.run(ask_more(place.base, 200, 2, earned(canary, 0.9, 0.3)))
    done = run_cycle(place, TRIED, clock(1.1e9))
    assert (done.stages["canary"]["call"], done.stages["canary"]["version"]) == ("accept", canary)
    releases = place.shelf.releases()
    assert (releases.active, releases.canary) == (canary, "")
    assert "drift" in done.stages


def test_a_canary_that_earns_less_is_rolled_back_and_nobody_is_asked(place, canary, ask_more):
    asyncio.run(ask_more(place.base, 200, 2, earned(canary, 0.2, 0.9)))
    done = run_cycle(place, Wishes(least_new=100_000, canary=0.5), clock(1.1e9))
    assert done.stages["canary"]["call"] == "roll back"
    releases = place.shelf.releases()
    assert (releases.active, releases.canary) == ("", "")
    assert releases.state(canary) is BundleState.RETIRED
    assert "reward -" in releases.latest(canary).note


def test_a_rollback_that_is_killed_is_done_again_to_the_same_end(place, canary, ask_more, monkeypatch):
    asyncio.run(ask_more(place.base, 200, 2, earned(canary, 0.2, 0.9)))
    wishes, kept = Wishes(least_new=100_000, canary=0.5), Journal._write

    def killed(self, what) -> None:
        if what.cycles and "canary" in what.cycles[-1].stages and len(what.cycles) == 2:
            raise KeyboardInterrupt  # the bundle is retired, and the journal does not know it yet
        kept(self, what)

    monkeypatch.setattr(Journal, "_write", killed)
    with pytest.raises(KeyboardInterrupt):
        run_cycle(place, wishes, clock(1.1e9))
    monkeypatch.setattr(Journal, "_write", kept)
    run_cycle(place, wishes, clock(1.1e9))
    releases = place.shelf.releases()
    assert (releases.state(canary), releases.canary) == (BundleState.RETIRED, "")
