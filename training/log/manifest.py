"""What an export holds: its files, and how far each store has been read. A file that it does not name does not count.

It is replaced as a whole, after the files that it names are written: a killed export leaves the old one, and files
that nobody names.
"""

from __future__ import annotations

import msgspec

from training.errors import TrainingError
from training.log.place import Place
from training.log.schema import VERSION

MANIFEST = "manifest.json"


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """How far a store has been read: numbers of rows, in order of arrival. All up to them are in the export."""

    decisions: int = 0
    outcomes: int = 0
    deletions: int = 0
    # number and id of a decision among the last: a store that was set back has another
    last: tuple[int, str] = (0, "")


class PartFile(msgspec.Struct, frozen=True, kw_only=True):
    """A Parquet file of the export."""

    path: str  # below the export's root
    kind: str  # decisions | outcomes | grades
    store: str  # the identity of the store that it came from; "" of none
    rows: int
    bytes: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """See the module."""

    version: int = VERSION
    stores: dict[str, Seen] = {}  # by identity
    files: tuple[PartFile, ...] = ()
    updated_at: float = 0.0  # seconds since the epoch

    def of(self, kind: str) -> tuple[PartFile, ...]:
        """The files of one kind, in the order of their writing."""
        return tuple(file for file in self.files if file.kind == kind)

    def rows(self, kind: str) -> int:
        """How many rows of one kind there are."""
        return sum(file.rows for file in self.of(kind))


def read_manifest(place: Place) -> Manifest:
    """What is there; an empty one where nothing was exported yet. Raises `TrainingError`."""
    data = place.read(MANIFEST)
    if data is None:
        return Manifest()
    try:
        found = msgspec.json.decode(data, type=Manifest)
    except msgspec.DecodeError as error:
        raise TrainingError(f"{place.root}/{MANIFEST}: {error}") from error
    if found.version > VERSION:
        raise TrainingError(
            f"{place.root}: exported by a newer version ({found.version}; this one knows {VERSION})"
        )
    return found


def write_manifest(place: Place, manifest: Manifest) -> None:
    """Replace it."""
    place.write(MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)))


def remove_strays(place: Place, manifest: Manifest) -> int:
    """Remove the files that a killed export left; how many there were."""
    named = {file.path for file in manifest.files}
    strays = [
        path
        for kind in ("decisions", "outcomes", "grades")
        for path in place.files(kind)
        if path not in named
    ]
    for path in strays:
        place.remove(path)
    return len(strays)
