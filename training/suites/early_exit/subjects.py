"""The subjects of `early_exit`: which settings each offers, and how one is chosen on the tuning half."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from training.suites.early_exit import confident
from training.suites.early_exit.converged import converged
from training.suites.early_exit.decided import Decided
from training.suites.early_exit.halves import Half, Known
from training.suites.early_exit.settings import CAUTION, TARGET, Settings
from training.suites.early_exit.states import half_with_states, states_at
from training.suites.early_exit.traces import Floats
from training.suites.early_exit.utility import utility

Decide = Callable[[Half], Decided | None]
# standard errors, where the best of all families is chosen: the more settings, the luckier
MORE_CAUTION = 0.75
TUNED = f"{TARGET:g}pt"  # the operating point tuned for so many points of loss


def full(_known: Known) -> Decide:
    """Every trace to its end, nothing looked at: what the others are held against."""

    def decide(half: Half) -> Decided:
        mine = half.measured
        nothing = np.full((len(mine), 1), -1, dtype=np.int64)
        return Decided("full", "full", mine, nothing, np.ones(len(mine), dtype=np.int64))

    return decide


def by_run_length(known: Known) -> Decide:
    """Equal tentative answers in a row."""
    settings = converged(known).or_none()
    return lambda half: tuned(settings, half)


def by_stated(known: Known) -> Decide:
    """The tentative answer's own probability; not where it was not recorded."""
    settings = confident.stated(known)
    if settings is None:
        return lambda _half: None
    offered = settings.or_none()
    return lambda half: tuned(offered, half)


def by_utility(known: Known) -> Decide:
    """What the end is expected to gain against the tokens that it takes."""
    return lambda half: tuned(utility(known, half).or_none(), half)


def best(known: Known) -> Decide:
    """Whatever rule saves most on the tuning half, and neither there nor to the head seems to lose too much."""
    unlearned = by_answers(known)
    return lambda half: best_of(unlearned, known, half)


def best_with_states(known: Known) -> Decide:
    """The same with a head that sees states at the looks; not where there are none."""
    unlearned, states = by_answers(known), states_at(known.traces)
    if states is None:
        return lambda _half: None

    def decide(half: Half) -> Decided | None:
        told = half_with_states(known, states, half)
        return None if told is None else best_of(unlearned, *told)

    return decide


def by_answers(known: Known) -> Settings:
    """Settings for which nothing is learned."""
    said = confident.stated(known)
    return converged(known) if said is None else converged(known) + said


def best_of(unlearned: Settings, known: Known, half: Half) -> Decided:
    """Of these settings and those of the head."""
    settings = (unlearned + confident.safe(known, half) + utility(known, half)).or_none()
    return tuned(settings, half, MORE_CAUTION, settings.expected(known, half))


def at_risk_05(known: Known) -> Decide:
    """At most 5 of 100 traces are stopped to their harm."""
    return lambda half: at_risk(known, half, 0.05)


def at_risk_10(known: Known) -> Decide:
    """At most 10 of 100."""
    return lambda half: at_risk(known, half, 0.10)


def at_risk(known: Known, half: Half, risk: float) -> Decided:
    """The threshold that keeps the promise; every trace to its end where none does."""
    mine, point = half.measured, f"risk {risk:g}"
    kept = confident.kept_at(known, half, risk)
    length = known.traces.length[mine].sum()
    could = max(
        confident.in_hindsight(one, score, ~half.tuning, risk)
        for one, score in zip(known.watched, half.safe, strict=True)
    )
    if kept is None:
        nothing = np.full((len(mine), 1), -1, dtype=np.int64)
        return Decided(point, "full", mine, nothing, np.ones(len(mine), dtype=np.int64), could / length)
    label = f"safe {kept.threshold:g}, {kept.watched.watch}"
    return Decided(point, label, mine, kept.watched.place[mine], kept.stops[mine], could / length)


def tuned(
    settings: Settings, half: Half, caution: float = CAUTION, expected: Floats | None = None
) -> Decided:
    """The setting that the tuning half takes, and what the best one of the same family would have saved."""
    mine = half.measured
    chosen = settings.chosen(half.tuning, caution=caution, expected=expected)
    hindsight = settings.chosen(~half.tuning, caution=0.0)
    could = max(0.0, settings.saved(hindsight, ~half.tuning))
    watched = settings.watched[chosen]
    return Decided(
        TUNED, settings.labels[chosen], mine, watched.place[mine], settings.stops[chosen][mine], could
    )
