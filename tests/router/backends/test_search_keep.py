"""Keep rules of a search: how often each open text goes on."""

from __future__ import annotations

from random import Random

import pytest

from router.backends.search_keep import KEEPS, Round


@pytest.mark.parametrize("keep", sorted(KEEPS))
def test_every_keep_rule_gives_away_its_room_and_nothing_below_zero(keep: str):
    rng = Random(3)
    for _ in range(300):
        count, room = rng.randint(1, 9), rng.randint(1, 12)
        values = [rng.choice((0.0, 0.2, rng.random(), 1.0)) for _ in range(count)]
        roots = [rng.randrange(3) for _ in range(count)]
        given = KEEPS[keep](Round(values, roots, room, rng.randint(1, 4), rng))
        assert (len(given), sum(given), min(given) >= 0) == (count, room, True)


def test_particles_are_drawn_again_as_often_as_their_odds_say():
    """Odds of 9 and 1 to 1: .9 and .1 of the room in the mean, never more than one away from it."""
    drawn = [KEEPS["particle"](Round((0.9, 0.5), (0, 0), 5, 1, Random(seed))) for seed in range(2000)]
    assert {tuple(one) for one in drawn} == {(4, 1), (5, 0)}
    assert sum(one[0] for one in drawn) / 10_000 == pytest.approx(0.9, abs=0.01)


@pytest.mark.parametrize(
    ("keep", "expected"), [("beam", [2, 2, 0]), ("diverse", [2, 0, 2]), ("rebase", [2, 1, 1])]
)
def test_keep_rules_differ_in_what_they_let_go(keep: str, expected: list[int]):
    assert KEEPS[keep](Round((0.6, 0.5, 0.4), (0, 0, 1), 4, 2, Random(0))) == expected
