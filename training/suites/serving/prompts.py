"""Queries as a busy service sees them: every one different, short ones more often than long ones, some with turns."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator

SHORTEST, LONGEST = 50, 4000  # characters of the last user turn
TURNS_EVERY = 6  # queries of which one has turns before it
WORDS = tuple(
    word
    for line in (
        "how many apples are left in the basket if each of them takes three and gives one back then what is the total",
        "price of a ticket per person when half pay twice find the largest number below this list except the first two",
        "write a function that returns true only if every value x is less than n explain why the ratio does not change",
        "compare both answers and calculate the average speed in percent please summarize according to the statements",
    )
    for word in line.split()
)

Turn = tuple[str, str]
"""Role and text."""


def prompts(seed: int) -> Iterator[tuple[Turn, ...]]:
    """Endless; lengths are uniform in their logarithm (a mean of 900 characters). Equal seeds give equal prompts."""
    rng = random.Random(seed)
    number = 0
    while True:
        number += 1
        last = ("user", text(rng, math.exp(rng.uniform(math.log(SHORTEST), math.log(LONGEST)))))
        if number % TURNS_EVERY:
            yield (last,)
        else:
            yield ("user", text(rng, 120.0)), ("assistant", text(rng, 300.0)), last


def words(seed: int, count: int) -> Iterator[tuple[Turn, ...]]:
    """Endless single turns of `count` words."""
    rng = random.Random(seed)
    while True:
        yield (("user", f"{' '.join(rng.choice(WORDS) for _ in range(count - 1))} {rng.randrange(10**9)}?"),)


def text(rng: random.Random, chars: float) -> str:
    """Words and numbers, of about so many characters and never fewer than that."""
    pieces = [str(rng.randrange(10**6))]
    size = len(pieces[0])
    while size < chars:
        piece = str(rng.randrange(1000)) if rng.random() < 0.1 else rng.choice(WORDS)
        if rng.random() < 0.08:
            piece += rng.choice((".", ",", "?", "\n"))
        pieces.append(piece)
        size += len(piece) + 1
    return " ".join(pieces)[:LONGEST]
