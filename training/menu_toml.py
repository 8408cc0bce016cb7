"""A configuration as the text of a router.toml; what is at its default is left out."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from router.config import Config


def toml_of(config: Config) -> str:
    """TOML that `router.configuration.file.load` reads back as an equal configuration."""
    plain = _changed(config)
    backends, plans = plain.pop("backends", {}), plain.pop("plans", [])
    tables = {key: plain.pop(key) for key in [key for key, value in plain.items() if isinstance(value, dict)]}
    lines = [f"{_key(key)} = {_value(value)}" for key, value in plain.items()]
    for title, table in [(f"backends.{_key(name)}", entry) for name, entry in backends.items()] + list(
        tables.items()
    ):
        lines += ["", f"[{title}]", *(f"{_key(key)} = {_value(value)}" for key, value in table.items())]
    for plan in plans:
        lines += ["", "[[plans]]", *(f"{_key(key)} = {_value(value)}" for key, value in plan.items())]
    return "\n".join(lines) + "\n"


def _changed(section: msgspec.Struct) -> dict[str, Any]:
    """The fields that differ from their defaults, sections as dictionaries."""
    found: dict[str, Any] = {}
    for field in msgspec.structs.fields(section):
        value = getattr(section, field.name)
        default = field.default
        if field.default_factory is not msgspec.NODEFAULT:
            default = field.default_factory()
        if value != default:
            found[field.encode_name] = _plain(value)
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        return _changed(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _key(name: str) -> str:
    """Bare where TOML allows it."""
    bare = name.isascii() and name.replace("-", "").replace("_", "").isalnum()
    return name if bare else json.dumps(name)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(key)} = {_value(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, str):
        # JSON's escapes are TOML's, but for DEL and lone surrogates, which no name has
        return json.dumps(value)
    return repr(value) if isinstance(value, float) else json.dumps(value)
