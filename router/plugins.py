"""Plug-in tables: names that point at "module:Class" strings, resolved only when chosen."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from router.errors import UnknownName


def resolve(kind: str, table: Mapping[str, str], name: str) -> Any:
    """The class behind `name`; `kind` is the word for error messages.

    Raises `UnknownName` with the choices where the table has no such name.
    """
    target = table.get(name)
    if target is None:
        raise UnknownName(kind, name, tuple(table))
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)
