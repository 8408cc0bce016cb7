"""The process that matches patterns and checks JSON schemas; started by `text_check`, imports nothing of ours.

One JSON line in, `{"kind": "pattern" | "schema", "rule": …, "text": …, "limit_s": …}`; one line out: `1` it fits,
`0` it does not, `?` it cannot be said (the rule is wrong). A text that takes more than `limit_s` of the processor's
time ends the process: the kernel's timer does not care where the interpreter is, nor how busy the machine is.
"""

from __future__ import annotations

import json
import re
import resource
import signal
import sys
from collections.abc import Callable
from functools import lru_cache

MEMORY_BYTES = 2 << 30  # address space


def no_constant(name: str) -> None:
    """NaN and Infinity are not JSON."""
    raise ValueError(name)


@lru_cache(maxsize=64)
def check_of(kind: str, rule: str) -> Callable[[str], bool]:
    """What holds a text against a rule."""
    if kind == "pattern":
        pattern = re.compile(rule)
        return lambda text: pattern.fullmatch(text) is not None
    from jsonschema.validators import Draft202012Validator, validator_for
    from referencing import Registry

    schema = json.loads(rule)
    # a registry of its own: without one the library would fetch references from the network
    registry: Registry[object] = Registry()
    validator = validator_for(schema, default=Draft202012Validator)(schema, registry=registry)
    return lambda text: validator.is_valid(json.loads(text, parse_constant=no_constant))


def answered(asked: dict[str, str]) -> str:
    """The word for one question."""
    try:
        check = check_of(asked["kind"], asked["rule"])
    except Exception:  # noqa: BLE001 (whatever is wrong with a rule)
        return "?"
    try:
        return "1" if check(asked["text"]) else "0"
    except (ValueError, RecursionError, MemoryError):  # not JSON, nested too deep, too large
        return "0"
    except Exception:  # noqa: BLE001 (a reference that leads nowhere)
        return "?"


def main() -> None:
    """Serve standard input until it ends."""
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, most))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        asked = json.loads(line)
        if asked["kind"] == "schema":
            import jsonschema  # noqa: F401 (its import is no part of a text's time)
        signal.setitimer(signal.ITIMER_PROF, asked["limit_s"])  # its default action ends this process
        word = answered(asked)
        signal.setitimer(signal.ITIMER_PROF, 0)
        sys.stdout.write(word + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
