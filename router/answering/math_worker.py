"""The process that compares two mathematical expressions; started by `math_equivalence`, imports nothing of ours.

One JSON line in, `{"a": …, "b": …, "limit_s": …}`; one line out: `1` equal, `0` different, `?` not parsed. The
first line that it writes is `ready`, or `missing` without math-verify. An expression that takes too long ends the
process: the kernel's timer does not care where the interpreter is.
"""

from __future__ import annotations

import json
import logging
import resource
import signal
import sys

MEMORY_BYTES = 2 << 30  # address space; sympy and its parsers need some 300 MB of it


def main() -> None:
    """Serve standard input until it ends."""
    try:
        from math_verify import parse, verify
    except ImportError:
        sys.stdout.write("missing\n")
        return
    logging.disable(logging.CRITICAL)  # it logs every expression that it cannot read
    parse("$1$", parsing_timeout=None)  # builds its patterns
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, most))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        asked = json.loads(line)
        signal.setitimer(signal.ITIMER_REAL, asked["limit_s"])  # its default action ends this process
        try:
            first, second = (parse(f"${asked[side]}$", parsing_timeout=None) for side in ("a", "b"))
            known = first and second
            word = "?" if not known else "1" if verify(first, second, timeout_seconds=None) else "0"
        except (Exception, RecursionError):  # noqa: BLE001 (whatever a hostile expression provokes)
            word = "?"
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.stdout.write(word + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
