"""Where an export lies: a folder of this machine, or any URL that fsspec opens (s3://…, gs://…, memory://…)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.errors import TrainingError


@dataclass(frozen=True, slots=True)
class Place:
    """Files by their path below `root`. What another machine refuses is a `TrainingError`."""

    root: str  # a folder, or SCHEME://…

    @property
    def local(self) -> bool:
        """Whether it is a folder of this machine."""
        return "://" not in self.root

    def read(self, path: str) -> bytes | None:
        """All of a file; None where there is none."""
        try:
            if self.local:
                return (Path(self.root) / path).read_bytes()
            files, root = self._remote()
            return bytes(files.cat_file(f"{root}/{path}"))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._failed(path, error) from error

    def write(self, path: str, data: bytes) -> None:
        """The whole file or nothing: who reads meanwhile sees the old one."""
        try:
            if not self.local:
                files, root = self._remote()
                files.makedirs(f"{root}/{path}".rpartition("/")[0], exist_ok=True)
                files.pipe_file(f"{root}/{path}", data)
                return
            file = Path(self.root) / path
            file.parent.mkdir(parents=True, exist_ok=True)
            unfinished = file.with_name(f".{file.name}.{os.getpid()}")
            with unfinished.open("wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            unfinished.replace(file)
        except OSError as error:
            raise self._failed(path, error) from error

    def files(self, folder: str) -> list[str]:
        """Paths of all files below a folder, sorted; unfinished ones too."""
        if self.local:
            there = Path(self.root)
            found = (there / folder).rglob("*")
            return sorted(str(file.relative_to(there)) for file in found if file.is_file())
        files, root = self._remote()
        try:
            found = files.find(f"{root}/{folder}")
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._failed(folder, error) from error
        return sorted(path.removeprefix("/").removeprefix(f"{root.lstrip('/')}/") for path in found)

    def remove(self, path: str) -> None:
        """Remove a file that may be gone already."""
        try:
            if self.local:
                (Path(self.root) / path).unlink(missing_ok=True)
                return
            files, root = self._remote()
            files.rm_file(f"{root}/{path}")
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._failed(path, error) from error

    def _remote(self) -> tuple[Any, str]:
        import fsspec

        try:
            files, root = fsspec.core.url_to_fs(self.root)
        except (ImportError, ValueError) as error:  # the scheme's package is not installed; no such scheme
            raise TrainingError(f"{self.root}: {error}") from error
        return files, str(root).rstrip("/")

    def _failed(self, path: str, error: OSError) -> TrainingError:
        return TrainingError(f"{self.root}/{path}: {error.strerror or error}")
