"""A plug-in as configuration writes it (a name, or a table with `kind` and options) to the object."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, get_args, get_origin

from router.configuration.places import Path
from router.configuration.problems import Problems, shown, unknown
from router.configuration.sections import WRONG, read_value
from router.errors import RouterError
from router.plugins import resolve
from router.policies import POLICIES, Policy
from router.selectors import SELECTORS, Selector
from router.stopping import STOPPING_RULES, StoppingRule
from router.verifiers import VERIFIERS, Verifier


@dataclass(frozen=True, slots=True)
class Door:
    """One plug-in table: what it is called in messages, its names, and the contract of what is behind them."""

    word: str
    table: Mapping[str, str]
    contract: Any


RULE = Door("stopping rule", STOPPING_RULES, StoppingRule)
SELECTOR = Door("selector", SELECTORS, Selector)
VERIFIER = Door("verifier", VERIFIERS, Verifier)
POLICY = Door("policy", POLICIES, Policy)
_DOORS = (RULE, SELECTOR, VERIFIER, POLICY)


def build_plugin(door: Door, written: str | Mapping[str, Any], path: Path, problems: Problems) -> Any:
    """The object that `written` describes, or None where a problem was noted.

    Options become the fields of the plug-in's dataclass, typed and checked; an option that is itself a plug-in (the
    rules of `any_of`) is written the same way. A plug-in refuses values by raising from its `__post_init__`.
    """
    kind: Any = written
    options: Mapping[str, Any] = {}
    kind_path = path
    if not isinstance(written, str):
        kind, kind_path = written.get("kind"), (*path, "kind")
        options = {key: value for key, value in written.items() if key != "kind"}
        if not isinstance(kind, str):
            problems.add(path, f"wants kind = one of {', '.join(sorted(door.table))}, got {shown(kind)}")
            return None
    if kind not in door.table:
        problems.add(kind_path, unknown(door.word, kind, door.table))
        return None
    try:
        plugin = resolve(door.word, door.table, kind)
    except ImportError as error:  # a plug-in whose library is in an extra that is not installed
        problems.add(kind_path, f"{door.word} {kind!r} cannot be loaded: {error}")
        return None
    return _built(plugin, kind, options, path, problems)


def _built(plugin: type, kind: str, options: Mapping[str, Any], path: Path, problems: Problems) -> Any:
    names = [field.name for field in fields(plugin) if field.init]
    hints = typing.get_type_hints(plugin)
    values = {}
    for key, value in options.items():
        if key in names:
            values[key] = _option(hints[key], value, (*path, key), problems)
        elif names:
            problems.add((*path, key), unknown(f"option of {kind}", key, names))
        else:
            problems.add((*path, key), f"unknown option of {kind} {key!r}; it has no options")
    if any(value is WRONG for value in values.values()) or len(values) < len(options):
        return None
    for name in names:
        if _several(hints[name]) is not None and not values.get(name):
            problems.add(
                (*path, name) if name in values else path, f"{kind} without {name} does nothing; list some"
            )
            return None
    missing = [
        item.name for item in fields(plugin) if item.metadata.get("required") and not values.get(item.name)
    ]
    if missing:
        nothing = "judges nothing" if kind in VERIFIERS else "does nothing"
        text = f'{kind} without {missing[0]} {nothing}; write {{ kind = "{kind}", {missing[0]} = "…" }}'
        problems.add((*path, missing[0]) if missing[0] in values else path, text)
        return None
    try:
        return plugin(**values)
    except (RouterError, ValueError) as error:
        text = str(error).removeprefix(f"{kind}: ")
        about = text.partition(" ")[0]  # by custom the option
        problems.add((*path, about) if about in options else path, text)
        return None


def _option(hint: Any, value: Any, path: Path, problems: Problems) -> Any:
    """One option: a plain value, or one or several plug-ins."""
    for door in _DOORS:
        if hint is door.contract:
            return _nested(door, value, path, problems)
    several = _several(hint)
    if several is not None:
        if not isinstance(value, list | tuple):
            problems.add(path, f"wants a list of {several.word}s, got {shown(value)}")
            return WRONG
        built = [_nested(several, item, (*path, index), problems) for index, item in enumerate(value)]
        return WRONG if any(item is WRONG for item in built) else tuple(built)
    return read_value(hint, value, path, None, problems)


def _several(hint: Any) -> Door | None:
    """The door of an option that holds several plug-ins, else None."""
    contract = get_args(hint)[0] if get_origin(hint) is tuple else None
    return next((door for door in _DOORS if door.contract is contract), None)


def _nested(door: Door, value: Any, path: Path, problems: Problems) -> Any:
    if not isinstance(value, str | Mapping):
        problems.add(path, f"wants the name of a {door.word} or a table with its kind, got {shown(value)}")
        return WRONG
    built = build_plugin(door, value, path, problems)
    return WRONG if built is None else built
