"""A whole cycle over a store full of made-up rows, in a process of its own: seconds of every stage, and its memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.store_bench.made_rows import MENU


@dataclass(frozen=True, slots=True)
class Learned:
    """What a cycle took."""

    stages: dict[str, float]  # seconds
    seconds: float  # all together
    peak_gb: float  # resident, the most at any time
    rows: int  # decisions that were fitted on
    cap: int
    held_out: int  # decisions that were evaluated on
    said: str  # of the candidate


def learn(store: str, folder: Path) -> Learned:
    """`apportion cycle` in a new folder under `folder`, so that all rows are exported and read anew."""
    place = Path(tempfile.mkdtemp(prefix="learn-", dir=folder))
    (place / "router.toml").write_text(MENU, "utf-8")
    command = [sys.executable, "-m", "training", "cycle", "--config", str(place / "router.toml")]
    command += ["--store", store, "--spend-growth", "10", "--canary", "0", "--json"]
    begun = time.perf_counter()
    with (place / "said.json").open("wb") as out:
        process = subprocess.Popen(command, stdout=out)  # noqa: S603 (ours)
        _, code, used = os.wait4(process.pid, 0)  # of this child alone, unlike getrusage
        process.returncode = os.waitstatus_to_exitcode(code)
    seconds = time.perf_counter() - begun
    if process.returncode:
        raise RuntimeError(f"the cycle ended with code {process.returncode}")
    said: dict[str, Any] = json.loads((place / "said.json").read_text("utf-8"))
    evaluated = said.get("evaluate", {})
    return Learned(
        said["took"], seconds, used.ru_maxrss / 2**20, said["fit"].get("rows", 0), said["fit"].get("cap", 0),
        evaluated.get("rows", 0), str(evaluated.get("why", said["fit"].get("why", ""))),
    )  # fmt: skip
