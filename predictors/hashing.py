"""Hashed words, word pairs and character n-grams of a text, as sorted distinct buckets.

Every n-gram's hash comes from one prefix sum: with P[i] = sum over k < i of mix[byte_k] * M^k (mod 2^64, M odd and
so invertible), the hash of bytes [i, j) is (P[j] - P[i]) * M^-i, which does not depend on where the n-gram stands.
The tables are arithmetic on constants: the same on every machine and in every process (Python's `hash` is not).
Where `text_scan.c` was built it gives the same buckets in a tenth of the time.

When it fails: two n-grams may share a bucket (2^18 buckets, a few hundred n-grams per text: rare), and word order
beyond pairs and five characters is not seen.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from predictors.compiled import BUILT, Scanner

_MULTIPLIER = 0x9E3779B97F4A7C15  # 2^64 / golden ratio, odd (Knuth)
_FINISH = 0xD6E8FEB86659FD93  # odd; rrmxmx's multiplier: spreads the low bits of the sum to the top
_WORD_CHARACTERS = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
_PAIR_SALT = 0x51ED270B9F652295  # pairs of words and n-grams of characters live in their own spaces
_GRAM_SALT = 0x2545F4914F6CDD1D


def _splitmix(state: int) -> int:
    """One step of SplitMix64 (Steele, Lea & Flood 2014): 64 well-mixed bits from a counter."""
    state = (state + _MULTIPLIER) % 2**64
    state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    state = (state ^ state >> 27) * 0x94D049BB133111EB % 2**64
    return state ^ state >> 31


def _powers(factor: int, count: int) -> NDArray[np.uint64]:
    found, power = np.empty(count, dtype=np.uint64), 1
    for place in range(count):
        found[place] = power
        power = power * factor % 2**64
    return found


@dataclass(frozen=True, slots=True)
class NgramHasher:
    """Buckets of a text's words, word pairs and character n-grams; thread-safe, made once."""

    bits: int  # 2**bits buckets
    grams: tuple[int, ...]  # lengths of character n-grams, in bytes
    max_bytes: int  # longest text, in UTF-8 bytes after white space is collapsed
    # by numpy alone: what the compiled one is compared with
    plain: bool = field(default=False, compare=False)
    mix: NDArray[np.uint64] = field(init=False, repr=False, compare=False)  # (256,)
    powers: NDArray[np.uint64] = field(init=False, repr=False, compare=False)  # (max_bytes + 2,)
    inverse: NDArray[np.uint64] = field(init=False, repr=False, compare=False)  # (max_bytes + 2,)
    is_word: NDArray[np.bool_] = field(init=False, repr=False, compare=False)  # (256,)
    _scanner: Scanner | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        count = self.max_bytes + 2
        tables = {
            "mix": np.array([_splitmix(byte) for byte in range(256)], dtype=np.uint64),
            "powers": _powers(_MULTIPLIER, count),
            "inverse": _powers(pow(_MULTIPLIER, -1, 2**64), count),
            "is_word": np.array([byte >= 128 or byte in _WORD_CHARACTERS for byte in range(256)]),
        }
        for name, table in tables.items():
            object.__setattr__(self, name, table)
        object.__setattr__(self, "_scanner", self.scanner())

    def scanner(
        self, classes: bytes = bytes(256), class_count: int = 1, words: tuple[str, ...] = (), strip: str = ""
    ) -> Scanner | None:
        """The compiled reader of texts with these tables; None where it was not built, or is not wanted."""
        if self.plain or not BUILT:
            return None
        constants = (_MULTIPLIER, pow(_MULTIPLIER, -1, 2**64), _FINISH, _PAIR_SALT, _GRAM_SALT)
        return Scanner(
            bits=self.bits,
            grams=self.grams,
            mix=self.mix.tobytes(),
            word_bytes=self.is_word.tobytes(),
            constants=np.array(constants, dtype=np.uint64).tobytes(),
            classes=classes,
            class_count=class_count,
            words=tuple(word.encode() for word in words),
            strip=strip.encode(),
        )

    def buckets(self, words: list[str]) -> NDArray[np.int64]:
        """Sorted distinct buckets, shape (k,), of the text whose white-space separated pieces are `words`."""
        return self.of_joined(" ".join(words))

    def of_joined(self, text: str) -> NDArray[np.int64]:
        """The same of a text whose words stand one blank apart."""
        if self._scanner is not None:
            return np.frombuffer(self._scanner.buckets(text.encode("utf-8", "replace")), dtype=np.int64)
        raw = np.frombuffer(f" {text} ".encode("utf-8", "replace"), dtype=np.uint8)
        count = len(raw)
        sums = np.empty(count + 1, dtype=np.uint64)
        sums[0] = 0
        mixed = self.mix.take(raw)
        mixed *= self.powers[:count]
        np.add.accumulate(mixed, out=sums[1:])
        inside = self.is_word.take(raw)
        edges = (inside[1:] != inside[:-1]).nonzero()[0] + 1  # the text begins and ends with a blank
        starts, ends = edges[::2], edges[1::2]
        first, last, undo = sums.take(starts), sums.take(ends), self.inverse.take(starts)
        hashes = [(last - first) * undo, (last[1:] - first[:-1]) * undo[:-1] + np.uint64(_PAIR_SALT)]
        for length in self.grams:
            if count > length:
                grams = sums[length:] - sums[:-length]
                grams *= self.inverse[: len(grams)]
                grams += np.uint64(_GRAM_SALT * length % 2**64)
                hashes.append(grams)
        found = np.concatenate(hashes)
        found ^= found >> np.uint64(32)
        found *= np.uint64(_FINISH)
        found >>= np.uint64(64 - self.bits)
        places = found.astype(np.uint32)  # half as wide, and sorted in half the time
        places.sort()
        distinct = np.empty(len(places), dtype=np.bool_)
        distinct[:1] = True
        np.not_equal(places[1:], places[:-1], out=distinct[1:])
        return places[distinct].astype(np.int64)
