"""The connector's options, from `kv_connector_extra_config`: set by whoever starts the server, never by a request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

HIDDEN, VALUES = "hidden", "values"
STATES = (HIDDEN, VALUES)
PARTS = ("prompt_last", "prompt_mean", "answer_last", "answer_mean")


@dataclass(frozen=True, slots=True)
class Options:
    """Unknown names and wrong values end the server's start with a sentence."""

    folder: str = "/dev/shm/apportion-states"  # noqa: S108 (memory, shared with the reader)
    states: str = HIDDEN  # of the speculation extract_hidden_states | value vectors out of the KV cache
    layers: tuple[int, ...] = ()  # whose value vectors; those of hidden states are named by the speculation
    parts: tuple[str, ...] = ("prompt_last", "answer_last", "answer_mean")
    dims: int = 0  # of the random projection; 0: none
    seed: int = 0  # of the projection
    mark_tokens: frozenset[int] = frozenset()  # token ids that end a reasoning step
    max_age_s: float = 60.0
    max_mb: float = 64.0

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Self:
        """Raises `ValueError` naming the option, its value and the choices."""
        names = [one.name for one in fields(cls)]
        unknown = sorted(set(given) - set(names))
        if unknown:
            raise ValueError(f"hidden states: unknown option {unknown[0]!r}; choose from {', '.join(names)}")
        read: dict[str, Any] = dict(given)
        for name in {"layers", "parts"} & set(read):
            read[name] = tuple(read[name])
        if "mark_tokens" in read:
            read["mark_tokens"] = frozenset(read["mark_tokens"])
        options = cls(**read)
        wrong = [part for part in options.parts if part not in PARTS]
        if wrong or not options.parts:
            raise ValueError(f"hidden states: parts = {list(options.parts)}; choose from {', '.join(PARTS)}")
        if options.states not in STATES:
            raise ValueError(f"hidden states: states = {options.states!r}; choose from {', '.join(STATES)}")
        if (options.states == VALUES) != bool(options.layers):
            raise ValueError(
                f"hidden states: layers = {list(options.layers)} with states = {options.states!r}; value vectors "
                "need layers, for hidden states the speculation names them"
            )
        if not options.folder.startswith("/"):
            raise ValueError(f"hidden states: folder must be absolute, got {options.folder!r}")
        if options.dims < 0 or options.max_age_s <= 0 or options.max_mb <= 0:
            raise ValueError(
                "hidden states: dims must not be negative, max_age_s and max_mb must be positive"
            )
        return options
