"""A plug-in as operators read it: by the name that configurations give it, with its options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass


def in_words(plugin: object, table: Mapping[str, str]) -> str:
    """`agreement(needed=3)`, by its name in the table (name -> module:class); options of None are left out."""
    name = plugin_name(plugin, table)
    if not is_dataclass(plugin):
        return name
    said = ((item.name, getattr(plugin, item.name)) for item in fields(plugin))
    options = ", ".join(f"{option}={_option(value, table)}" for option, value in said if value is not None)
    return f"{name}({options})" if options else name


def plugin_name(plugin: object, table: Mapping[str, str]) -> str:
    """`agreement`: its name in the table (name -> module:class); one that is in no table keeps its class's name."""
    kind = type(plugin)
    target = f"{kind.__module__}:{kind.__qualname__}"
    return next((name for name, known in table.items() if known == target), kind.__qualname__)


def _option(value: object, table: Mapping[str, str]) -> str:
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_option(item, table) for item in value)}]"
    return in_words(value, table) if is_dataclass(value) else repr(value)
