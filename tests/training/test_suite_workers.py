"""Workers of a suite end with the process that started them, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

MAIN = """\
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import slow
from training.suites.workers import results_in_order

if __name__ == "__main__":
    jobs = [Path(sys.argv[1]) / str(number) for number in range(2)]
    list(results_in_order(jobs, 2, slow.work, slow.work))
"""
SLOW = """\
import os, time

def work(told):
    told.write_text(str(os.getpid()))
    time.sleep(600)
"""


def until(true, within_s: float = 60.0) -> bool:
    """Whether it came true in time."""
    ends = time.monotonic() + within_s
    while not true():
        if time.monotonic() > ends:
            return False
        time.sleep(0.05)
    return True


def alive(pid: int) -> bool:
    """Whether such a process runs (one that ended and that nobody asked about does not)."""
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text().split(")")[-1][:3]
    except OSError:
        return False


def test_workers_end_when_their_parent_is_killed(tmp_path):
    (tmp_path / "main.py").write_text(MAIN)
    (tmp_path / "slow.py").write_text(SLOW)
    environ = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    parent = subprocess.Popen([sys.executable, str(tmp_path / "main.py"), str(tmp_path)], env=environ)
    told = [tmp_path / "0", tmp_path / "1"]
    try:
        assert until(lambda: all(path.exists() and path.read_text() for path in told))
        workers = [int(path.read_text()) for path in told]
        assert all(map(alive, workers))
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    assert until(lambda: not any(map(alive, workers)))
