"""Words that a look waits for: heard once, whatever their case, and wherever a text was cut in between."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from router.domain.cues import CONCLUSIONS, said_since


@pytest.mark.parametrize(
    ("text", "since", "heard"),
    [
        ("", 0, False),
        ("so the answer", 0, True),
        ("SO THE ANSWER", 0, True),
        ("so the answer", 12, True),  # its last letter is new
        ("so the answer", 13, False),
        ("so the answer is", 13, False),
        ("the answer, the answer", 13, True),
        ("so the answ", 0, False),
        ("so the answer", 99, False),
        ("DIE LÖSUNG HEISST", 0, True),  # folded to ss, as the cue is
    ],
)
def test_a_cue_is_new_where_it_ends_behind_what_was_heard(text, since, heard):
    assert said_since(text, since, ("answer", "heißt")) is heard


def test_without_cues_nothing_is_heard():
    assert not said_since("answer", 0, ())


def test_in_pieces_as_much_is_heard_as_at_once():
    """Each cue is heard in exactly one of the pieces that a text comes in."""
    rng = random.Random(0)
    for _ in range(300):
        text = "".join(rng.choice("abAB ") for _ in range(30))
        cuts = sorted({0, 30, *(rng.randrange(30) for _ in range(6))})
        heard = [said_since(text[:end], begin, ("ab", "bba")) for begin, end in pairwise(cuts)]
        folded = text.casefold()
        ends = {
            place + len(cue) for cue in ("ab", "bba") for place in range(30) if folded.startswith(cue, place)
        }
        assert heard == [any(begin < end <= stop for end in ends) for begin, stop in pairwise(cuts)]


def test_the_words_of_a_conclusion_are_in_small_letters_and_none_within_another():
    assert all(cue == cue.casefold() and cue for cue in CONCLUSIONS)
    assert not [(one, other) for one in CONCLUSIONS for other in CONCLUSIONS if one != other and one in other]
