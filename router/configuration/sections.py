"""A TOML document to `Config`: every key and type checked against router.config, everything wrong collected.

`read_value` is also how the options of plug-ins are read.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin

import msgspec

from router.config import Config
from router.config_section import Section
from router.configuration.bounds import BOUNDS, Bound, Unit, instead_of
from router.configuration.places import Path
from router.configuration.problems import Problems, shown, unknown

_S = TypeVar("_S", bound=Section)
WRONG = object()  # a value that was wrong and is noted as such
_ANY_NUMBER = Bound(Unit.PLAIN, float("-inf"), float("inf"))
# what stands in for a required value that is missing
_EMPTY: dict[Any, Any] = {str: "", tuple: (), Mapping: {}}


def read_config(document: Mapping[str, Any], problems: Problems) -> Config:
    """The document as `Config`. Where a value is wrong its problem is noted and the default (or "") stands in."""
    return _section(Config, document, (), problems)


def _section(kind: type[_S], table: Mapping[str, Any], path: Path, problems: Problems) -> _S:
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    for key in table:
        if key not in fields:
            problems.add((*path, key), unknown("key", key, fields))
    values: dict[str, Any] = {}
    for name, field in fields.items():
        if name in table:
            value = read_value(field.type, table[name], (*path, name), BOUNDS.get((kind, name)), problems)
            if value is not WRONG:
                values[name] = value
        elif field.required:
            problems.add(path, f"the key {name!r} is missing")
        if name not in values and field.required:
            values[name] = _stand_in(field.type)
    return kind(**values)


def _stand_in(wanted: Any) -> Any:
    origin = get_origin(wanted)
    return get_args(wanted)[0] if origin is Literal else _EMPTY[origin or wanted]


def read_value(wanted: Any, value: Any, path: Path, bound: Bound | None, problems: Problems) -> Any:
    """`value` as the type `wanted`, or `WRONG` where it is not one and the problem is noted.

    `wanted`: str, bool, int, float, a Literal, a Section, `X | None`, `tuple[X, ...]` or `Mapping[str, X]` of these.
    """
    origin, arguments = get_origin(wanted), get_args(wanted)
    if origin in {Union, types.UnionType}:
        return _one_of(arguments, value, path, bound, problems)
    if origin is tuple:
        return _sequence(arguments[0], value, path, problems)
    if origin is Mapping:
        return _mapping(arguments[1], value, path, problems)
    if origin is Literal:
        if isinstance(value, str) and value in arguments:
            return value
        return _wrong(
            path,
            problems,
            unknown("value", value, arguments)
            if isinstance(value, str)
            else _got(f"wants one of {', '.join(arguments)}", value),
        )
    if isinstance(wanted, type) and issubclass(wanted, Section):
        if isinstance(value, dict):
            return _section(wanted, value, path, problems)
        return _wrong(path, problems, _got("wants a table", value))
    return _scalar(wanted, value, path, bound, problems)


def _one_of(
    arguments: tuple[Any, ...], value: Any, path: Path, bound: Bound | None, problems: Problems
) -> Any:
    """A union: `X | None` (TOML has no null: X), or a name or a table."""
    choices = [choice for choice in arguments if choice is not types.NoneType]
    if len(choices) == 1:
        return read_value(choices[0], value, path, bound, problems)
    if isinstance(value, str | dict):
        return value  # what is in the table is checked by whoever builds the plug-in
    return _wrong(path, problems, _got('wants a name, or a table such as { kind = "…" }', value))


def _sequence(wanted: Any, value: Any, path: Path, problems: Problems) -> Any:
    if not isinstance(value, list):
        hint = f"; write [{shown(value)}]" if isinstance(value, str) and wanted is str else ""
        return _wrong(path, problems, _got("wants a list", value) + hint)
    read = [read_value(wanted, item, (*path, index), None, problems) for index, item in enumerate(value)]
    return WRONG if WRONG in read else tuple(read)


def _mapping(wanted: Any, value: Any, path: Path, problems: Problems) -> Any:
    if not isinstance(value, dict):
        return _wrong(path, problems, _got("wants a table", value))
    if wanted is Any:
        return value
    read = {key: read_value(wanted, item, (*path, key), None, problems) for key, item in value.items()}
    return {key: item for key, item in read.items() if item is not WRONG}


def _scalar(wanted: type, value: Any, path: Path, bound: Bound | None, problems: Problems) -> Any:
    if wanted in {int, float}:
        return _number(value, path, bound or _ANY_NUMBER, problems, whole=wanted is int)
    if type(value) is wanted:
        return value
    name = "true or false, without quotes" if wanted is bool else "text in quotes"
    return _wrong(path, problems, _got(f"wants {name}", value))


def _number(value: Any, path: Path, bound: Bound, problems: Problems, *, whole: bool) -> Any:
    if type(value) is not int and (whole or type(value) is not float):
        hint = instead_of(value, bound.unit) if isinstance(value, str) else ""
        return _wrong(path, problems, _got(f"wants {bound.wanted(whole=whole)}", value) + hint)
    try:
        text = bound.problem(float(value))
    except OverflowError:
        text = f"wants {bound.wanted(whole=whole)}, got a number of {len(str(value))} digits"
    if text is not None:
        return _wrong(path, problems, text)
    return value if whole else float(value)


def _got(wants: str, value: Any) -> str:
    return f"{wants}, got {shown(value)}"


def _wrong(path: Path, problems: Problems, text: str) -> Any:
    problems.add(path, text)
    return cast("Any", WRONG)
