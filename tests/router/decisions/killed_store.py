"""A process that records decisions and reports outcomes for ever, and prints what was acknowledged."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import os
import sys

from router.decisions.sqlite import SQLite
from router.domain.decision import Decision, Mode, Outcome

DECISION = Decision(
    *(
        "d",
        "r",
        "replica",
        0,
        0.0,
        "",
        "",
        Mode.APPLY,
        "p",
        "",
        0.0,
        "plan",
        "digest",
        1.0,
        {},
        {},
        False,
        True,
    )
)


async def main(path: str) -> None:
    """Report until killed."""
    store = SQLite.open(path)
    row = dataclasses.replace(DECISION, replica=f"replica-{os.getpid()}")
    for number in itertools.count(0, 4):
        name = f"d{os.getpid()}-{number}"
        store.record(dataclasses.replace(row, decision_id=name, sequence=number))
        told = [
            Outcome(f"o{number}-{part}", "m", 1.0, "number", name, key=f"{name}-{part}") for part in range(3)
        ]
        if await store.report(told) == (True, True, True):
            sys.stdout.write(f"{name}\n")
            sys.stdout.flush()
        for more in range(1, 4):  # rows that may be lost: nothing is acknowledged about them
            store.record(dataclasses.replace(row, decision_id=f"{name}+{more}", sequence=number + more))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
