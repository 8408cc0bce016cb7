"""router.toml, read strictly: all that is wrong is said at once, each with file, line, key, value and choices."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from router.config import Config
from router.configuration.backends import check_backends
from router.configuration.budgets import check_budgets, check_ledger_place
from router.configuration.build_plans import build_plans
from router.configuration.places import find_places
from router.configuration.plans import check_plans
from router.configuration.problems import Problem, Problems
from router.configuration.sections import read_config
from router.configuration.service import check_folders, check_service
from router.domain.plan import Plan
from router.errors import ConfigError

# what tomllib says of a second [budget], of [[budget]] behind [budget], and of a key that is said twice
AGAIN = "; it stands there already, or [x] and [[x]] are mixed ([budget] is the whole, [[budgets]] are its accounts)"
_AT_LINE = re.compile(r" \(at line (\d+), column \d+\)\Z")


@dataclass(frozen=True, slots=True)
class Examined:
    """A file as far as it could be read. With problems, `config` has defaults in their places: do not serve it."""

    config: Config
    plans: Mapping[str, Plan]
    problems: tuple[Problem, ...]


def load(path: Path, *, serving: bool = False) -> Config:
    """The configuration in a file. Raises `ConfigError` with one line per problem: `FILE:LINE: KEY: what and why`.

    Paths inside of the file are relative to its folder. With `serving` what a service opens at its start must be
    there too: the folder of the bundle (which `apportion fit` may be about to make) and that of the store.
    """
    examined = examine(path, serving=serving)
    if examined.problems:
        raise ConfigError("\n".join(str(problem) for problem in examined.problems))
    return examined.config


def examine(path: Path, *, serving: bool = True) -> Examined:
    """Everything about a file, also what is wrong with it. Raises `ConfigError` where it is no readable TOML at all."""
    text = _text(path)
    document = _parsed(text, path)
    problems = Problems(str(path), find_places(text))
    config = read_config(document, problems)
    check_backends(config, _keys(document.get("backends")), path.parent, problems)
    plans = build_plans(config, problems)
    check_plans(config, plans, problems)
    check_service(config, problems)
    check_budgets(config, problems)
    if serving:
        check_ledger_place(config, path.parent, problems)
        check_folders(config, path.parent, problems)
    return Examined(config, plans, problems.all())


def _text(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except OSError as error:
        hint = "; `apportion init` writes a first one" if isinstance(error, FileNotFoundError) else ""
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}{hint}") from error
    try:
        return raw.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ConfigError(f"{path}:{line}: is not UTF-8: byte {raw[error.start]:#04x}") from error


def _parsed(text: str, path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        said = str(error)
        match = _AT_LINE.search(said)
        line = int(match[1]) if match else text.count("\n") + 1  # else: at the end of the document
        said = said[: match.start()] if match else said
        said += AGAIN if "overwrite a value" in said else ""
        raise ConfigError(f"{path}:{line}: is not TOML: {said[:1].lower()}{said[1:]}") from error
    except RecursionError as error:
        raise ConfigError(f"{path}: is nested too deep to be a configuration") from error


def _keys(backends: Any) -> dict[str, set[str]]:
    """The keys that each backend's table has in the file."""
    if not isinstance(backends, dict):
        return {}
    return {name: set(table) for name, table in backends.items() if isinstance(table, dict)}
