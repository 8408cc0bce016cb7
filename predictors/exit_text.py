"""Where the tentative answer of a growing trace stands in what it has written: how often, since when, how lately.

Knows neither a language nor a kind of task, only characters. When it fails: an answer that is spelt otherwise in the
text (`1/2` and `one half`), a choice among letters that are words, too, and a text that repeats its question's numbers.
"""

from __future__ import annotations

from math import log1p
from typing import NamedTuple

READ = 8_000  # characters, the last ones: a look must be cheap however long the trace has become
MOST = 32  # places that are tried; a short answer may stand everywhere


class Written(NamedTuple):
    """Of the part of the text that was read; all 0 where there is no text, or nothing but the answer."""

    times: float = 0.0  # log(1 + how often)
    since: float = 0.0  # share of the text behind its first place, [0, 1]; 0: it does not stand there
    ago: float = 0.0  # log(1 + characters since its last place), without one since the text began


NOTHING = Written()


def written(text: str, answer: str | None) -> Written:
    """Where `answer` stands in `text` as a word or number of its own, whatever its case."""
    said, wanted = text[-READ:].lower(), (answer or "").strip().lower()
    if not said or said.strip() == wanted:
        return NOTHING
    first, times, place = -1, 0, said.find(wanted) if wanted else -1
    for _ in range(MOST):
        if place < 0:
            break
        if _alone(said, place, place + len(wanted)):
            times += 1
            first = place if first < 0 else first
        place = said.find(wanted, place + 1)
    if first < 0:
        return Written(ago=log1p(len(said)))
    last = said.rfind(wanted)
    for _ in range(MOST):
        if last <= first or _alone(said, last, last + len(wanted)):
            break
        last = said.rfind(wanted, 0, last + len(wanted) - 1)
    return Written(log1p(times), 1 - first / len(said), log1p(len(said) - max(first, last)))


def _alone(said: str, begin: int, end: int) -> bool:
    """Whether no word or number goes on across the borders."""
    before = said[begin - 1] if begin else " "
    return not (before.isalnum() or before == "." or said[end : end + 1].isalnum())
