"""A short text as the words that carry what it says: stems, numbers, how often it denies.

English. Contractions are opened, number words become digits, words of little meaning are left out, words that are said
for each other get one stem, and of two opposites one counts as the denial of the other (`word_tables`).
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from router.answering.word_tables import (
    DENIALS,
    ENDINGS,
    IDLE,
    NUMBERS,
    OPPOSITES,
    SAID_FOR_EACH_OTHER,
    TENS,
)

_LINK = re.compile(r"\b(?:is|are|was|were|be|been)\b")
_WORD = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+|%")
_OPENED = (  # a pattern, and what is read in its place
    (r"\bcan't\b|\bcannot\b", "can not"),
    (r"\bwon't\b", "will not"),
    (r"n't\b", " not"),
    (r"\b(\w+)'s\b", r"\1"),
    (r"'(?:re|ve|ll|d|m)\b", " "),
    (r"\bno one\b", "nobody"),
    (r"\bout of\b", "no"),
    (r"\bhalf of\b", "50 percent of"),
    (r"\bpassed away\b", "died"),
    (r"\btake[sn]? place\b", "set"),
    (r"\b(?:ha[sd]|have) to\b", "must"),
    (r"\bat least\b", "atleast"),
    (r"\bat most\b", "atmost"),
    (r"\bbe(?:cam|com)e extinct\b|\bdied out\b", "extinct"),
    (r"\bstep(?:ped|s)? down\b", "resign"),
    (r"\b(?:per|each|every) day\b|\ba day\b", "daily"),
    (r"\bdoes not\b|\bdo not\b|\bdid not\b", "not"),
    (r"\bit is true that\b|\bthe answer is\b|\baccording to\b|^yes,?\b|^no,", " "),
)


@dataclass(frozen=True, slots=True)
class Words:
    """What is compared of one text."""

    stems: tuple[str, ...]  # in order, without numbers and denials
    numbers: frozenset[str]
    denials: int
    linked: bool  # "X is Y", which says as much as "Y is X"
    compared: frozenset[str] | None  # stems before "than", None without one


@dataclass(frozen=True, slots=True)
class Lexicon:
    """The tables of `word_tables`, made ready."""

    idle: frozenset[str]
    denials: frozenset[str]
    numbers: dict[str, str]
    same: dict[str, str]  # a word or its stem -> the stem that stands for its group
    opposed: frozenset[tuple[str, str]]  # pairs of stems, both ways


@lru_cache(maxsize=4096)
def words_of(text: str) -> Words:
    """Read a short text."""
    known = lexicon()
    lowered = unicodedata.normalize("NFKC", text).replace("’", "'").strip().casefold()
    for pattern, opened in _OPENED:
        lowered = re.sub(pattern, opened, lowered)
    stems, numbers, denials = [], set(), 0
    for word in _WORD.findall(lowered):
        if word in known.denials:
            denials += 1
        elif word[0].isdigit():
            numbers.add(word.replace(",", ""))
        elif word in known.numbers:
            numbers.add(known.numbers[word])
        elif word not in known.idle and word != "hundred":  # "one hundred" and "100"
            stems.append(stem(word))
    before, than, _ = lowered.partition(" than ")
    compared = frozenset(stem(word) for word in _WORD.findall(before)) if than else None
    linked = _LINK.search(lowered) is not None
    return Words(tuple(stems), frozenset(numbers), denials, linked, compared)


def opposites(word: str, other: str) -> bool:
    """Whether two stems are opposites."""
    return (word, other) in lexicon().opposed


def stem(word: str) -> str:
    """A word without its ending, and one for all that are said for each other."""
    return named(word, lexicon().same)


def named(word: str, same: dict[str, str]) -> str:
    """The stem of a word, given which stems stand for which words."""
    return same.get(word) or same.get(cut(word)) or cut(word)


def cut(word: str) -> str:
    """Without the endings of plural, tense and adverb; crude, and the same for most forms of a word."""
    if not word.endswith("ss"):
        for ending, least in endings():
            if word.endswith(ending) and len(word) - len(ending) >= least:
                word = word[: -len(ending)]
                break
    if len(word) > 4:
        word = word.replace("our", "or")  # favourite, favorite
    if len(word) > 4 and word[-1] in "yi":
        word = word[:-1]  # studying, studies
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "sl":
        word = word[:-1]  # stopped, stop
    return word


@lru_cache(maxsize=1)
def endings() -> tuple[tuple[str, int], ...]:
    """(ending, letters that must be left)."""
    pairs = (entry.split() for entry in ENDINGS.split(","))
    return tuple((ending, int(least)) for ending, least in pairs)


@lru_cache(maxsize=1)
def lexicon() -> Lexicon:
    """Made once, when the first text is read."""
    numbers = {word: str(number) for number, word in enumerate(NUMBERS.split()) if word != "one"}
    numbers |= {word: str(10 * number) for number, word in enumerate(TENS.split(), 2)}
    same: dict[str, str] = {}
    for group in SAID_FOR_EACH_OTHER.split(","):
        first, *_ = words = group.split()
        for word in words:
            same.setdefault(cut(word), cut(first))
            same.setdefault(word, cut(first))
    pairs = [[named(word, same) for word in pair.split()] for pair in OPPOSITES.split(",")]
    opposed = frozenset(way for one, other in pairs for way in ((one, other), (other, one)))
    return Lexicon(frozenset(IDLE.split()), frozenset(DENIALS.split()), numbers, same, opposed)
