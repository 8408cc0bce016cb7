"""Whether two short texts say the same: a rule on their words, tuned on hand-labelled pairs.

Not the same where their numbers differ, where one denies what the other says (an odd number of denials and opposites
between them), or where the same words change places ("A beat B"). Else the same where enough of the words are common:
2 x common / all is at least `ENOUGH`.

When it fails: paraphrases in other words ("is airborne", "spreads through the air") are told apart; opposites that no
table knows are not. English; made for answers of a sentence or two, not for essays.
"""

from __future__ import annotations

from collections import Counter

from router.answering.text_words import Words, opposites, words_of

ENOUGH = 0.78  # tuned on one half of the labelled pairs that ship with the tests: F1 .90 there, .89 on the other half
LONGEST = 1000  # characters; longer texts are the same only where their words are


def same_text(first: str, second: str) -> bool:
    """Whether two texts say the same. Symmetric; some 50 microseconds for two sentences."""
    if max(len(first), len(second)) > LONGEST:
        return first.split() == second.split()
    return likeness(first, second) >= ENOUGH


def likeness(first: str, second: str) -> float:
    """0 for different, 1 for the same words in any order; in between by the words they share."""
    one, other = words_of(first), words_of(second)
    if one.numbers != other.numbers:
        return 0.0
    common = Counter(one.stems) & Counter(other.stems)
    mine, yours = (
        list((Counter(one.stems) - common).elements()),
        list((Counter(other.stems) - common).elements()),
    )
    opposed = sum(opposites(word, opposite) for word in set(mine) for opposite in set(yours))
    swapped = changes_places(one, other, set(common))
    if opposed > 1 or (one.denials - other.denials + opposed + swapped) % 2:
        return 0.0
    total = len(one.stems) + len(other.stems)
    if not total:
        return float(first.strip().casefold() == second.strip().casefold() or bool(one.numbers))
    for word in [*mine]:
        near = next((found for found in yours if akin(word, found)), None)
        if near is not None:  # employs and employees, absorb and absorption
            mine.remove(word)
            yours.remove(near)
    shared = total - len(mine) - len(yours) + 2 * min(opposed, len(mine), len(yours))
    return shared / total


def akin(word: str, other: str) -> bool:
    """Whether two stems begin alike for most of their length."""
    least = min(len(word), len(other))
    return least >= 5 and word[:5] == other[:5]


def changes_places(one: Words, other: Words, common: set[str]) -> bool:
    """Whether who does what, or what is more than what, is exchanged: not "X is Y", nor an active and a passive."""
    if one.compared is not None and other.compared is not None:
        only_one, only_other = one.compared - other.compared, other.compared - one.compared
        return bool(only_one & common) and bool(only_other & common)
    mine = [word for word in one.stems if word in common]
    yours = [word for word in other.stems if word in common]
    if one.linked or other.linked or len(mine) < 2:
        return False
    return mine[0] != mine[-1] and (mine[0], mine[-1]) == (yours[-1], yours[0])
