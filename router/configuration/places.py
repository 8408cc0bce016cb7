"""On which line of a TOML text every key stands: tomllib reads values, this reads places.

The text must be one that tomllib accepts. Keys and table names are decoded by tomllib itself; only the structure
(headers, dotted keys, arrays, inline tables, strings and comments that look like any of these) is walked here.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Path = tuple[str | int, ...]
"""From the root to a value: keys of tables, indices of arrays."""

_PART = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')"""
_KEY = re.compile(rf"{_PART}(?:[ \t]*\.[ \t]*{_PART})*")
_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_HEADER = re.compile(rf"\[(?P<array>\[?)[ \t]*(?P<key>{_KEY.pattern})[ \t]*\]\]?")
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"""(?:"{0,2})'  # up to two quotes may stand before the closing three
    r"|'''.*?'''(?:'{0,2})"
    r"""|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'""",
    re.DOTALL,
)
_BARE = re.compile(r"[^,\]}#\n]+")  # numbers, booleans, dates (with their space)


@dataclass(frozen=True, slots=True)
class Places:
    """Lines, counted from 1, of everything that the text names."""

    lines: Mapping[Path, int]

    def line(self, path: Path) -> int:
        """The line of `path`, else of the nearest table or array around it, else 1."""
        for length in range(len(path), 0, -1):
            found = self.lines.get(path[:length])
            if found is not None:
                return found
        return 1


def find_places(text: str) -> Places:
    """The place of every key, table and array element of a valid TOML text.

    Fails by leaving out: what it cannot follow (nothing known) is not in the result, and what does not exist in the
    document is removed, so that a look-up falls back to the surrounding table and never names a wrong key.
    """
    text = text.replace("\r\n", "\n")
    walk = _Walk(text)
    walk.document()
    document = tomllib.loads(text)
    return Places({path: line for path, line in walk.lines.items() if _exists(document, path)})


class _Walk:
    """One pass over the text; `lines` is the result, `at` how far it came."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines: dict[Path, int] = {}
        self.elements: dict[Path, int] = {}  # array of tables -> how many so far
        self.newlines = [match.start() for match in re.finditer("\n", text)]

    def document(self) -> None:
        """Walk all headers and `key = value` lines; stop at the first thing that is neither."""
        table: Path = ()
        while self.skip(_BLANK) < len(self.text):
            start = self.at
            header = _HEADER.match(self.text, self.at)
            if header is not None:
                table = self.table(header["key"], array=bool(header["array"]))
                self.lines[table] = self.line(start)  # its own header, even where a sub-table named it before
                self.at = header.end()
            elif not self.pair(table):
                return

    def table(self, written: str, *, array: bool) -> Path:
        """The path that a header opens; names of arrays of tables mean their last element."""
        path: Path = ()
        names = _decoded(written)
        for position, name in enumerate(names):
            path = (*path, name)
            self.note(path, self.at)
            if array and position == len(names) - 1:
                self.elements[path] = self.elements.get(path, 0) + 1
            if path in self.elements:
                path = (*path, self.elements[path] - 1)
        return path

    def pair(self, table: Path) -> bool:
        """Walk one `key = value`; False where there is none."""
        start = self.at
        key = _KEY.match(self.text, self.at)
        if key is None:
            return False
        path = table
        for name in _decoded(key.group()):
            path = (*path, name)
            self.note(path, start)
        self.at = key.end()
        self.skip(_SPACE)
        if not self.take("="):
            return False
        self.skip(_SPACE)
        return self.value(path)

    def value(self, path: Path) -> bool:
        """Walk one value, noting what is inside of it; False where it cannot be followed."""
        if self.take("["):
            return self.sequence(path)
        if self.take("{"):
            return self.inline_table(path)
        match = _STRING.match(self.text, self.at) or _BARE.match(self.text, self.at)
        if match is None:
            return False
        self.at = match.end()
        return True

    def sequence(self, path: Path) -> bool:
        index = 0
        while True:
            self.skip(_BLANK)
            if self.take("]"):
                return True
            self.note((*path, index), self.at)
            if not self.value((*path, index)):
                return False
            index += 1
            self.skip(_BLANK)
            self.take(",")

    def inline_table(self, path: Path) -> bool:
        while True:
            self.skip(_BLANK)
            if self.take("}"):
                return True
            if not self.pair(path):
                return False
            self.skip(_BLANK)
            self.take(",")

    def note(self, path: Path, at: int) -> None:
        self.lines.setdefault(path, self.line(at))

    def line(self, at: int) -> int:
        return bisect_right(self.newlines, at - 1) + 1

    def skip(self, pattern: re.Pattern[str]) -> int:
        match = pattern.match(self.text, self.at)
        if match is not None:
            self.at = match.end()
        return self.at

    def take(self, mark: str) -> bool:
        if self.text.startswith(mark, self.at):
            self.at += len(mark)
            return True
        return False


def _decoded(written: str) -> tuple[str, ...]:
    """The names of a dotted key as tomllib reads them: `a."b.c"` -> ("a", "b.c")."""
    names = []
    inner: Any = tomllib.loads(f"{written} = 0")
    while isinstance(inner, dict):
        name, inner = next(iter(inner.items()))
        names.append(name)
    return tuple(names)


def _exists(document: Any, path: Path) -> bool:
    try:
        for part in path:
            document = document[part]
    except (KeyError, IndexError, TypeError):
        return False
    return True
