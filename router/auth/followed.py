"""Files that may change while the service serves: what tells that one did."""

from __future__ import annotations

from pathlib import Path

LOOK_S = 1.0  # between two looks at a file

Stamp = tuple[int, int, int]
NOTHING: Stamp = (0, 0, 0)


def stamp(path: Path | None) -> Stamp:
    """Another one where the file is another one, in what it holds or by a link's new end; `NOTHING` without a file."""
    if path is None:
        return NOTHING
    try:
        found = path.stat()
    except OSError:
        return NOTHING
    return found.st_mtime_ns, found.st_size, found.st_ino
