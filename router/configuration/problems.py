"""What is wrong with a configuration, all of it at once, each with its line and key."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from router.configuration.places import Path, Places
from router.errors import ConfigError

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+\Z")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that must be changed. `file` is empty for a configuration that was not read from one."""

    file: str
    line: int
    path: Path
    text: str

    @property
    def key(self) -> str:
        """`plans[1].stages[0].stop`; empty for the whole file."""
        return key_text(self.path)

    def __str__(self) -> str:
        """`router.toml:12: plans[1].stages[0].stop: unknown stopping rule 'agrement'; choose from …`."""
        place = f"{self.file}:{self.line}: " if self.file else ""
        key = f"{self.key}: " if self.path else ""
        return f"{place}{key}{self.text}"


class Problems:
    """Collects problems while a configuration is read; `raise_any` ends the reading."""

    def __init__(self, file: str = "", places: Places | None = None) -> None:
        self.file = file
        self.places = places or Places({})
        self._found: list[Problem] = []

    def add(self, path: Path, text: str) -> None:
        """Note that the value at `path` is wrong."""
        problem = Problem(self.file, self.places.line(path), path, text)
        if problem not in self._found:
            self._found.append(problem)

    def touch(self, path: Path) -> bool:
        """Whether something at, inside or around `path` is already wrong: a check of it would only add noise."""
        return any(
            path[: len(problem.path)] == problem.path or problem.path[: len(path)] == path
            for problem in self._found
            if problem.path  # one about the whole file says nothing about its parts
        )

    def all(self) -> tuple[Problem, ...]:
        """In the order of the file."""
        return tuple(sorted(self._found, key=lambda problem: problem.line))

    def raise_any(self) -> None:
        """Raise a `ConfigError` with one line per problem, if there is one."""
        if self._found:
            raise ConfigError("\n".join(str(problem) for problem in self.all()))


def key_text(path: Path) -> str:
    """`("plans", 1, "stages", 0)` as `plans[1].stages[0]`; keys that need quotes have them."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + (part if _BARE_KEY.match(part) else json.dumps(part))
    return text


def unknown(kind: str, name: str, choices: Iterable[str]) -> str:
    """`unknown stopping rule 'agrement' (did you mean 'agreement'?); choose from agreement, any_of`."""
    known = sorted(set(choices))
    if not known:
        return f"unknown {kind} {name!r}; there are none"
    near = difflib.get_close_matches(name, known, n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    return f"unknown {kind} {name!r}{hint}; choose from {', '.join(known)}"


def shown(value: Any) -> str:
    """A value as an error message shows it: as TOML writes it, and not more than 80 characters."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "a list"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
