"""Named features of a query: what the last user turn looks like, and the shape of everything around it.

Only the first and last 2,000 characters of the last user turn are read; of the other turns, tools and images only
their number and size. `task_hint` and metadata are never looked at: what a caller calls a query must not change
how hard it is thought to be. The same code runs when serving and when fitting; where `text_scan.c` was built it gives
the same numbers in a fifth of the time.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import log1p, log10

import numpy as np
from numpy.typing import NDArray

from predictors.embedding import Embedding, load_embedding
from predictors.hashing import NgramHasher
from predictors.observation import PartKind, Query

VERSION = 1  # of the feature code: raise it whenever a feature's meaning changes
SHAPE = (
    "turns", "user_turns", "assistant_turns", "log_system_chars", "log_history_chars", "tools", "images",
    "structured",
)  # fmt: skip
TEXT = (
    "log_chars", "log_words", "log_lines", "mean_word_chars", "longest_word", "distinct_words", "log_last_line",
    "options", "blanks", "numbers", "number_share", "largest_number", "mean_number", "last_number", "decimals",
    "sentence_words", "questions_asked", "latex", "code_fences", "urls",
)  # fmt: skip
CHARACTERS = {
    "lower": "abcdefghijklmnopqrstuvwxyz", "upper": "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "digit": "0123456789",
    "space": " \t", "newline": "\n", "full_stop": ".", "comma": ",", "question_mark": "?", "exclamation": "!",
    "colon": ":", "semicolon": ";", "round": "()", "square": "[]", "curly": "{}", "less_more": "<>", "equals": "=",
    "plus": "+", "minus": "-", "star": "*", "slash": "/", "caret": "^", "percent": "%", "dollar": "$", "hash": "#",
    "backslash": "\\", "underscore": "_", "quote": "\"'`", "pipe": "|&~",
}  # fmt: skip
WORDS = (
    "how", "why", "what", "which", "who", "when", "where", "many", "much", "is", "are", "does", "not", "except",
    "all", "none", "only", "if", "then", "each", "every", "per", "total", "times", "more", "less", "than", "half",
    "twice", "percent", "average", "left", "ratio", "probability", "find", "solve", "calculate", "compute", "prove",
    "explain", "describe", "write", "list", "compare", "translate", "summarize", "best", "following", "true",
    "false", "statement", "likely", "according", "def", "return", "import", "class", "function", "select", "x", "n",
    "let", "let's", "step", "please", "i", "you", "he", "she", "they", "his", "her",
)  # fmt: skip
# a set in front: `re` skips to it, and is done in two thirds of the time
_NUMBER = re.compile(r"[\d]\d*(?:[.,]\d+)*")
_OPTION = re.compile(r"^\s*\(?[A-J][.):]", re.MULTILINE)
_STRIP = ".,?!:;()[]\"'"
_HALF = 2000  # characters read from either end
_MAX_NUMBERS = 64


@dataclass(frozen=True, slots=True)
class FeatureSpec:
    """What is computed from a query; two specs with one fingerprint give the same numbers."""

    version: int = VERSION
    bits: int = 18  # 2**bits buckets of hashed n-grams
    grams: tuple[int, ...] = (5,)  # lengths of character n-grams, in UTF-8 bytes
    embedding: str = ""  # "" or "wordllama"

    @property
    def names(self) -> tuple[str, ...]:
        """One name per dense feature, in order."""
        spelled = tuple(f"share_{name}" for name in (*CHARACTERS, "other"))
        embedded = tuple(f"embedding_{place}" for place in range(256 if self.embedding else 0))
        return (*SHAPE, *TEXT, *spelled, *(f"word_{word}" for word in WORDS), *embedded)

    @property
    def fingerprint(self) -> str:
        """16 hex digits over everything that shapes the numbers."""
        text = json.dumps([asdict(self), self.names], sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True)
class QueryFeatures:
    """One query as numbers: `dense` (d,) finite, in the order of `FeatureSpec.names`; `buckets` (k,) sorted."""

    dense: NDArray[np.float32]
    buckets: NDArray[np.int64]


class Featurizer:
    """Computes the features of a spec; holds its tables, is thread-safe, has no other state.

    `plain`: by Python and numpy alone, also where the compiled reader was built, which is compared with it.
    """

    def __init__(self, spec: FeatureSpec, *, plain: bool = False) -> None:
        self.spec = spec
        # UTF-8: at most 4 each
        self._hasher = NgramHasher(spec.bits, spec.grams, max_bytes=2 * _HALF * 4 + 8, plain=plain)
        self._columns = {word: place for place, word in enumerate(WORDS)}
        self._classes = np.full(256, len(CHARACTERS), dtype=np.intp)
        for place, characters in enumerate(CHARACTERS.values()):
            self._classes[list(characters.encode())] = place
        classes = self._classes.astype(np.uint8).tobytes()
        self._scanner = self._hasher.scanner(classes, len(CHARACTERS) + 1, WORDS, _STRIP)
        self._embedding: Embedding | None = load_embedding(spec.embedding) if spec.embedding else None

    def __call__(self, query: Query) -> QueryFeatures:
        """The features of a query; never fails on odd input (empty, broken characters, 20 MB)."""
        return self._compute(query.text, _shape(query))

    def of_text(self, text: str) -> QueryFeatures:
        """The features of a query that is one user turn with this text."""
        return self._compute(text, _SINGLE)

    def _compute(self, text: str, shape: list[float]) -> QueryFeatures:
        seen = text if len(text) <= 2 * _HALF else f"{text[:_HALF]}\n{text[-_HALF:]}"
        words = seen.lower().split()
        joined = " ".join(words)
        scanned = self._scan(text, seen, joined, shape)
        dense, buckets = self._read(text, seen, words, joined, shape) if scanned is None else scanned
        if self._embedding is not None:
            dense = np.concatenate([dense, self._embedding(seen)])
        return QueryFeatures(dense, buckets)

    def _scan(
        self, text: str, seen: str, joined: str, shape: list[float]
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]] | None:
        if self._scanner is None:
            return None
        try:
            raw, words = seen.encode(), joined.encode()
        except UnicodeEncodeError:  # broken characters would be read as question marks
            return None
        numbers = None if seen.isascii() else _numbers(seen)
        dense, buckets = self._scanner.scan(shape, len(text), raw, words, numbers)
        return np.frombuffer(dense, np.float32), np.frombuffer(buckets, np.int64)

    def _read(
        self, text: str, seen: str, words: list[str], joined: str, shape: list[float]
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        often = Counter(words)
        counts = [0.0] * len(WORDS)
        for word, count in often.items():
            column = self._columns.get(word.strip(_STRIP))
            if column is not None:
                counts[column] += count
        raw = np.frombuffer(seen.encode("utf-8", "replace"), dtype=np.uint8)
        spelled = np.bincount(self._classes.take(raw), minlength=len(CHARACTERS) + 1) / max(1, len(raw))
        letters = len(joined) - max(0, len(words) - 1)
        pieces = [np.array(shape + _text(text, seen, len(words), often, letters)), spelled]
        pieces.append(np.minimum(counts, 8.0))
        return np.concatenate(pieces).astype(np.float32), self._hasher.of_joined(joined)


_SINGLE = [1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]


def _shape(query: Query) -> list[float]:
    messages = query.messages
    if len(messages) == 1 and len(messages[0].parts) == 1 and not (query.tools or query.response_format):
        only = messages[0]
        if only.role == "user" and only.parts[0].kind is PartKind.TEXT:
            return _SINGLE
    roles = [message.role for message in messages]
    chars = [sum(len(part.text) for part in message.parts) for message in messages]
    last = max((place for place, role in enumerate(roles) if role == "user"), default=len(roles) - 1)
    images = sum(part.kind is not PartKind.TEXT for message in messages for part in message.parts)
    system = sum(size for role, size in zip(roles, chars, strict=True) if role in ("system", "developer"))
    others = sum(chars) - system - (chars[last] if roles and roles[last] == "user" else 0)
    return [
        float(sum(role not in ("system", "developer") for role in roles)),
        float(roles.count("user")),
        float(roles.count("assistant")),
        log1p(system),
        log1p(max(0, others)),
        float(len(query.tools)),
        float(images),
        float(bool(query.response_format)),
    ]


def _text(whole: str, seen: str, words: int, often: Mapping[str, int], letters: int) -> list[float]:
    count = max(1, words)
    options, decimals, sizes = _numbers(seen)
    asked, stops = seen.count("?"), seen.count(". ") + seen.count(".\n")
    return [
        log1p(len(whole)),
        log1p(words),
        log1p(seen.count("\n")),
        letters / count,
        float(min(64, max(map(len, often), default=0))),
        len(often) / count,
        log1p(len(seen) - seen.rfind("\n") - 1),
        float(options if "\n" in seen or seen[:1] == "(" else 0),
        float(min(16, seen.count("__"))),
        float(len(sizes)),
        len(sizes) / count,
        max(sizes, default=0.0),
        sum(sizes) / max(1, len(sizes)),
        sizes[-1] if sizes else 0.0,
        float(decimals),
        count / (1 + stops + asked),
        float(min(16, asked)),
        float(min(32, seen.count("\\") + seen.count("$") // 2)),
        float(min(16, seen.count("```"))),
        float(min(16, seen.count("://"))),
    ]


def _numbers(seen: str) -> tuple[int, int, list[float]]:
    """Lines like options, numbers with a point, and the size of every number; also digits that are not ASCII."""
    numbers = _NUMBER.findall(seen)[:_MAX_NUMBERS]
    decimals = sum("." in number for number in numbers)
    return len(_OPTION.findall(seen)), decimals, [_magnitude(number) for number in numbers]


def _magnitude(number: str) -> float:
    """log10(1 + value); a number too long for a float counts by its digits."""
    plain = number.replace(",", "")
    if len(plain) > 300 or plain.count(".") > 1:
        return float(len(plain))
    return log10(1.0 + float(plain))
