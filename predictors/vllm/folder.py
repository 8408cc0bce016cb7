"""The shared folder that states are left in: bounded in age and size, and never a reason for the server to fail.

Where the whole exceeds its limit the tenant that holds most loses its oldest files first, so that one tenant's burst
does not push out what another is about to read. A folder that vanished is made again; a full disk loses states only.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from predictors.vllm.state_file import SUFFIX, state_path

_TENANT = re.compile("[0-9a-f]{16}")  # as `state_file.tenant_folder` names them: others are not ours
PARTIAL = ".partial"  # a file that is being written
_FOLDER_MODE, _FILE_MODE = 0o770, 0o660  # less the umask: the reader runs as the same user or group


@dataclass(frozen=True, slots=True)
class StateFolder:
    """Used by one process; readers delete what they have read."""

    root: Path
    max_age_s: float = 60.0
    max_bytes: int = 64 * 1024 * 1024

    def put(self, tenant: str, key: str, index: int, content: bytes) -> None:
        """Leave one file, whole or not at all; raises `OSError` where that cannot be done."""
        path = state_path(self.root, tenant, key, index)
        partial = path.with_suffix(PARTIAL)
        path.parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
            with os.fdopen(os.open(partial, flags, _FILE_MODE), "wb") as file:
                file.write(content)
            partial.replace(path)
        except OSError:
            partial.unlink(missing_ok=True)
            raise

    def sweep(self, now: float) -> int:
        """Delete what is too old, then what is too much, and folders of tenants who left; return how many files went.

        `now`: seconds since 1970.
        """
        kept: dict[Path, list[tuple[float, int, Path]]] = {}  # tenant -> (written, bytes, file), newest first
        gone = 0
        for folder, path in self._files():
            try:
                found = path.stat()
                if now - found.st_mtime > self.max_age_s:
                    path.unlink()
                    gone += 1
                    continue
            except OSError:
                continue  # the reader was faster
            kept.setdefault(folder, []).append((found.st_mtime, found.st_size, path))
        sizes = {folder: sum(size for _, size, _ in files) for folder, files in kept.items()}
        for files in kept.values():
            files.sort(reverse=True)
        while sum(sizes.values()) > self.max_bytes:
            largest = max(sizes, key=lambda folder: sizes[folder])
            _, size, path = kept[largest].pop()
            sizes[largest] -= size
            path.unlink(missing_ok=True)
            gone += 1
        for folder in self._tenants():
            if folder not in kept and _TENANT.fullmatch(folder.name):
                self._leave(folder, now)
        return gone

    def _leave(self, folder: Path, now: float) -> None:
        """Delete a tenant's folder in which nothing came or went for as long as a file is kept."""
        with suppress(OSError):  # there is something in it, or it is gone
            if now - folder.stat().st_mtime > self.max_age_s:
                folder.rmdir()

    def _files(self) -> list[tuple[Path, Path]]:
        found: list[tuple[Path, Path]] = []
        with suppress(OSError):  # a folder is not there any more
            for folder in self._tenants():
                files = [path for path in folder.iterdir() if path.suffix in (SUFFIX, PARTIAL)]
                found.extend((folder, path) for path in files)
        return found

    def _tenants(self) -> list[Path]:
        with suppress(OSError):  # the root is not there (any more)
            return [entry for entry in self.root.iterdir() if entry.is_dir() and not entry.is_symlink()]
        return []
