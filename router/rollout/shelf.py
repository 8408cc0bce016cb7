"""A folder of bundles, `FOLDER/<version>/`, with `releases.json` beside them: what each of them is used for.

The file is replaced whole, under a lock, so that a reader sees one document or the other. It is the alias that other
programs may change, too: every replica that reads the folder follows it.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from predictors.bundle import Bundle
from predictors.bundle_files import CARD, load_bundle, save_bundle
from predictors.card import BundleCard
from predictors.errors import BundleError
from router.errors import StoreError, UnknownName
from router.rollout.releases import Releases
from router.rollout.signature import sign

DOCUMENT = "releases.json"
Stamp = tuple[tuple[str, int, int], ...]  # (name, size, nanoseconds of its last change) of every file


class Shelf:
    """Blocks; not for the event loop."""

    def __init__(self, folder: Path, check: Callable[[Path, bytes], None] | None = None) -> None:
        """`check` sees the folder and the card of every bundle that is loaded, and may refuse it by `BundleError`."""
        self.folder, self._check = folder, check

    def place(self, version: str) -> Path:
        """The folder of a version. Raises `UnknownName`."""
        found = self.folder / version
        if not version or Path(version).name != version or not (found / CARD).is_file():
            lies = f"; a bundle lies in {self.folder}, in a folder of its version's name"
            raise UnknownName("bundle", version, tuple(self.versions()), lies)
        return found

    def versions(self) -> list[str]:
        """All that are here, the newest first."""
        found = [(card.stat().st_mtime, card.parent.name) for card in self.folder.glob(f"[!.]*/{CARD}")]
        return [name for _, name in sorted(found, reverse=True)]

    def cards(self) -> dict[str, BundleCard]:
        """By version, the newest first; a folder whose card cannot be read is left out."""
        found = {}
        for version in self.versions():
            try:
                written = msgspec.json.decode((self.folder / version / CARD).read_bytes())
                found[version] = BundleCard.from_json(written)
            except (OSError, ValueError, BundleError):
                continue
        return found

    def load(self, version: str) -> Bundle:
        """Raises `UnknownName` or `BundleError`."""
        bundle = load_bundle(self.place(version), self._check)
        if bundle.version != version:
            raise BundleError(f"{self.folder / version} holds version {bundle.version}")
        return bundle

    def stamp(self, version: str) -> Stamp:
        """What says whether a version's files have changed; () where there are none."""
        try:
            found = [(file.name, file.stat()) for file in (self.folder / version).iterdir()]
        except OSError:
            return ()
        return tuple(sorted((name, seen.st_size, seen.st_mtime_ns) for name, seen in found))

    def add(self, bundle: Bundle, signing_key: Path | None = None) -> BundleCard:
        """Write a bundle under its version, in place of the same one; sign it with the private key in a file.

        Raises `ConfigError` for a key that is none.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        card = save_bundle(bundle, self.folder / bundle.version)
        if signing_key is not None:
            sign(self.folder / bundle.version, signing_key)
        return card

    def releases(self) -> Releases:
        """The document; an empty one where there is none. Raises `StoreError` for one that cannot be read."""
        path = self.folder / DOCUMENT
        try:
            return msgspec.json.decode(path.read_bytes(), type=Releases)
        except FileNotFoundError:
            return Releases()
        except (OSError, msgspec.MsgspecError) as error:
            raise StoreError(f"{path}: {error}") from error

    def keep(self, releases: Releases) -> None:
        """Write the document unless there is one with a higher number. Raises `StoreError`."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with self._locked():
                try:
                    known = self.releases().number
                except StoreError:  # a broken document is replaced
                    known = -1
                if known < releases.number:
                    self._replace(msgspec.json.format(msgspec.json.encode(releases), indent=1))
        except OSError as error:
            raise StoreError(f"{self.folder / DOCUMENT} cannot be written: {error}") from error

    def _replace(self, written: bytes) -> None:
        number, draft = tempfile.mkstemp(prefix=f".{DOCUMENT}.", dir=self.folder)
        try:
            with os.fdopen(number, "wb") as file:
                file.write(written)
                file.flush()
                os.fsync(file.fileno())
            Path(draft).chmod(0o644)
            Path(draft).replace(self.folder / DOCUMENT)
        except BaseException:
            Path(draft).unlink(missing_ok=True)
            raise

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self.folder / f".{DOCUMENT}.lock").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
