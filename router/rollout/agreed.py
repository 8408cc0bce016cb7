"""The releases that all agree on: read from both places, written to both; for replicas and for who promotes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping

import msgspec

from router.errors import StoreError
from router.rollout.notes import Note, Notes
from router.rollout.releases import Releases
from router.rollout.shelf import Shelf

NAME = "releases"
ATTEMPTS = 5  # of a change that others make at the same time


def newest(notes: Mapping[str, Note], shelf: Shelf | None, known: Releases | None = None) -> Releases:
    """The document with the highest number. Raises `StoreError` where the folder's cannot be read."""
    found = [known or Releases()]
    if NAME in notes:
        with contextlib.suppress(msgspec.MsgspecError):
            found.append(msgspec.json.decode(notes[NAME].body, type=Releases))
    if shelf is not None:
        found.append(shelf.releases())
    return max(found, key=lambda one: one.number)


def publish(wanted: Releases, notes: Notes, shelf: Shelf, lost: Callable[[StoreError], None]) -> bool:
    """Write it in both places; whether it holds. `lost` is told that the notes are away.

    Raises `StoreError` where neither can be written.
    """
    failed: list[StoreError] = []
    try:
        note = Note(wanted.number, msgspec.json.encode(wanted).decode())
        if not notes.write(NAME, note):
            return False
    except StoreError as error:
        lost(error)
        failed.append(error)
    try:
        shelf.keep(wanted)
    except StoreError as error:
        failed.append(error)
    if len(failed) > 1:
        raise failed[0]
    return True


def changed(change: Callable[[Releases], Releases], notes: Notes, shelf: Shelf) -> Releases:
    """Change what all agree on; every replica follows within a second or two. Raises `StoreError`."""
    for _ in range(ATTEMPTS):
        try:
            told = notes.read()
        except StoreError:
            told = {}
        base = newest(told, shelf)
        wanted = change(base)
        if wanted == base or publish(wanted, notes, shelf, lambda error: None):
            return wanted
    raise StoreError("releases: others change them all the time; try again")
