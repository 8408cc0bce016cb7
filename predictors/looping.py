"""Does a text go in circles? A CUSUM over its pieces of how much of each was said before.

Pieces are sentences or lines of some length; x_t is the share of a piece's word trigrams that occurred before in the
text, numbers included: a step that is done again with other numbers is new. S_t = max(0, S_{t-1} + x_t - usual - slack)
(Page 1954; for loops of reasoning models: circular reasoning, 2026, there on hidden states). When it fails: texts
that repeat by their nature, and loops that say the same in ever new words.
"""

from __future__ import annotations

import re

USUAL, SLACK = 0.25, 0.1  # share that a sound text repeats; what is let pass besides
LONGEST = 20_000  # characters, the last ones
_PIECE = re.compile(r"[^.!?\n]+")
_WORD = re.compile(r"\w+|[^\w\s]")
_GRAM = 3
_LEAST = 4  # words of a piece


def looping(text: str) -> float:
    """S at the end of the text, >= 0.

    >>> looping("First add two and three. Then double the sum to get ten. The answer is ten.")
    0.0
    >>> looping("Wait, let me check the sum again. " * 8) > 3
    True
    """
    said: set[tuple[str, ...]] = set()
    level = 0.0
    for piece in _PIECE.findall(text[-LONGEST:].lower()):
        words = _WORD.findall(piece)
        if len(words) < _LEAST:
            continue
        grams = [tuple(words[at : at + _GRAM]) for at in range(len(words) - _GRAM + 1)]
        repeated = sum(gram in said for gram in grams) / len(grams)
        level = max(0.0, level + repeated - USUAL - SLACK)
        said.update(grams)
    return level
