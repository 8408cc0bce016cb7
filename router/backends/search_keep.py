"""Which texts go on after a round of a search, and how often each: beam, diverse, particle, rebase.

Each rule is how many continuations every open text gets, `room` together; a text that gets none is dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp
from random import Random

EDGE = 1e-3  # values are kept so far away from 0 and 1 before they become odds
BALANCE = 0.2  # of rebase: how far its budget follows differences in value, smaller: further


@dataclass(frozen=True, slots=True)
class Round:
    """What a rule is told."""

    values: Sequence[float]  # [0, 1] of each open text, at least one
    roots: Sequence[int]  # the first step that each came from
    room: int  # continuations, >= 1
    beams: int  # >= 1
    rng: Random


def beam(now: Round) -> list[int]:
    """The best `beams` share the room evenly; the better ones get what is left over.

    >>> beam(Round((0.9, 0.1, 0.5), (0, 0, 0), 5, 2, Random(0)))
    [3, 0, 2]
    """
    return _evenly(_ranked(now.values)[: now.beams], now)


def diverse(now: Round) -> list[int]:
    """The best of each root, so that no root takes over (diverse verifier tree search, Beeching et al. 2024).

    >>> diverse(Round((0.9, 0.8, 0.1), (0, 0, 1), 4, 2, Random(0)))
    [2, 0, 2]
    """
    best: dict[int, int] = {}
    for place in _ranked(now.values):
        best.setdefault(now.roots[place], place)
    return _evenly(list(best.values())[: now.beams], now)


def particle(now: Round) -> list[int]:
    """Drawn again with chances as their odds, systematically (particle filtering, Puri et al. 2025).

    A text with a share s of the odds goes on s x room times, rounded up or down by one draw for all.

    >>> particle(Round((0.5, 0.5), (0, 0), 4, 1, Random(0)))
    [2, 2]
    """
    odds = [min(max(value, EDGE), 1 - EDGE) for value in now.values]
    odds = [value / (1 - value) for value in odds]
    step = sum(odds) / now.room
    mark, reached, found = step * now.rng.random(), 0.0, [0] * len(odds)
    for place, one in enumerate(odds):
        reached += one
        while mark < reached and sum(found) < now.room:
            found[place] += 1
            mark += step
    found[_ranked(now.values)[0]] += now.room - sum(found)  # what rounding left over
    return found


def rebase(now: Round) -> list[int]:
    """The room in proportion to exp(value / BALANCE), the largest remainders first (REBASE, Wu et al. 2024).

    >>> rebase(Round((0.9, 0.5, 0.1), (0, 0, 0), 8, 1, Random(0)))
    [7, 1, 0]
    """
    weight = [exp(value / BALANCE) for value in now.values]
    shares = [now.room * one / sum(weight) for one in weight]
    found = [int(share) for share in shares]
    rest = sorted(range(len(found)), key=lambda place: (found[place] - shares[place], place))
    for place in rest[: now.room - sum(found)]:
        found[place] += 1
    return found


def _ranked(values: Sequence[float]) -> list[int]:
    """Places, the best first, of equals the first."""
    return sorted(range(len(values)), key=lambda place: (-values[place], place))


def _evenly(kept: Sequence[int], now: Round) -> list[int]:
    found = [0] * len(now.values)
    for number in range(now.room):
        found[kept[number % len(kept)]] += 1
    return found


KEEPS: dict[str, Callable[[Round], list[int]]] = {
    "beam": beam,
    "diverse": diverse,
    "particle": particle,
    "rebase": rebase,
}
