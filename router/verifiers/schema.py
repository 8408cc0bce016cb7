"""Right where the answer is JSON and fits a JSON schema.

Says nothing about truth: any value of the form passes. The first object or array of a text is its answer, also
between other words. Schemas are checked in a process of their own: their patterns, and texts made for it, may take for
ever; an answer that takes longer than `limit_s` does not pass. `format` is not checked.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from router.answering.text_check import TextCheck
from router.errors import ConfigError
from router.verifiers import Case


@dataclass(frozen=True)
class Schema:
    """JSON that fits; without a schema: JSON (RFC 8259, so neither NaN nor Infinity)."""

    schema: str = ""  # JSON text, or a file's path (relative to the working folder), which is read once
    limit_s: float = 1.0  # processor time of one answer, (0, 60]
    longest: int = 1_000_000  # characters; a longer answer does not pass

    answer_kind: ClassVar[str] = "json"
    needs: ClassVar[str] = ""

    def __post_init__(self) -> None:
        if not 0 < self.limit_s <= 60:
            raise ConfigError(f"schema: limit_s must be in (0, 60], got {self.limit_s}")
        if self.longest < 1:
            raise ConfigError(f"schema: longest must be at least 1, got {self.longest}")
        if self.schema:
            # the text itself, so that a plan's digest tells one schema from another
            object.__setattr__(self, "schema", _checked(_text(self.schema)))

    def grade(self, case: Case, answer: str | None) -> float | None:
        if answer is None or len(answer) > self.longest:
            return 0.0
        fits = self._check.fits(answer)
        return None if fits is None else float(fits)

    @cached_property
    def _check(self) -> TextCheck:
        return TextCheck("schema", self.schema or "true", self.limit_s)  # its process ends with this object


def _text(written: str) -> str:
    if written.lstrip()[:1] in {"{", "t", "f"} and not written.endswith(".json"):
        return written
    try:
        return Path(written).read_text("utf-8")
    except (OSError, ValueError) as error:
        raise ConfigError(f"schema: {written[:80]!r} is neither a JSON schema nor a file: {error}") from error


def _checked(text: str) -> str:
    """The schema on one line; it is one, and refers to itself only: nothing is ever fetched."""
    from jsonschema.exceptions import SchemaError
    from jsonschema.validators import Draft202012Validator, validator_for

    try:
        schema = json.loads(text)
        if not isinstance(schema, Mapping | bool):
            raise ConfigError(f"schema: an object is expected, got {type(schema).__name__}")
        validator_for(schema, default=Draft202012Validator).check_schema(schema)
        references = [found for found in _references(schema) if not found.startswith("#")]
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"schema: not JSON: {error}") from error
    except SchemaError as error:
        raise ConfigError(f"schema: {'/'.join(map(str, error.path))}: {error.message}") from error
    if references:
        raise ConfigError(
            f"schema: refers to {references[0]!r}; only parts of itself (#…) may be referred to"
        )
    return json.dumps(schema, separators=(",", ":"))


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, Mapping):
        for key, value in schema.items():
            if key in {"$ref", "$dynamicRef", "$recursiveRef"} and isinstance(value, str):
                yield value
            else:
                yield from _references(value)
    elif isinstance(schema, list):
        for item in schema:
            yield from _references(item)
