"""From a store to an export: what is new since the last time, in files by day, whatever kills it in between.

The store's rows are numbered in order of arrival. They are read in runs of `CHUNK` numbers; a run's rows become one
file per day, and when all files of a run (and of those before it) are written the manifest says so. A killed export
goes on behind the last run that the manifest names. Outcomes are rows of their own: one that comes late for a
decision that was exported long ago is simply new.

When it fails: while two exports write one URL at once, one overwrites the other's manifest. In a folder a lock
prevents it.

A row that cannot be read is left out and counted: one damaged row must not end every export from then on.
"""

from __future__ import annotations

import fcntl
import hashlib
import multiprocessing
import os
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from msgspec.structs import replace

from router.decisions.names import Names
from router.decisions.read_only import PackedRow, ReadOnlyStore, open_read_only
from training.end_with_parent import end_with_parent
from training.errors import TrainingError
from training.log.columns import decision_table
from training.log.forget import Deleted, forget
from training.log.manifest import PartFile, Seen, read_manifest, remove_strays, write_manifest
from training.log.outcome_columns import Arrived, outcome_table
from training.log.parts import write_part
from training.log.place import Place

CHUNK = 25_000  # numbers of rows in one run: some 100 MB of memory
DAY_US = 86_400_000_000
LOCK = ".export.lock"
_DAMAGED = (
    zlib.error,
    ValueError,
    LookupError,
    TypeError,
    OverflowError,
)  # bytes that are not what was written


@dataclass(frozen=True, slots=True)
class Exported:
    """What one export did, and what the whole of it is now."""

    decisions: int  # rows written now
    outcomes: int
    files: int
    strays: (
        int  # files that were removed: of a killed export, or because rows of them were deleted in the store
    )
    total_decisions: int
    total_outcomes: int
    spooled: bool  # the store has rows aside that are not in it yet; the next export takes them
    unreadable: int  # damaged rows and outcomes that were left out now; no later export takes them


@dataclass(frozen=True, slots=True)
class Written:
    """What became of one run."""

    files: tuple[PartFile, ...]
    unreadable: int  # rows that were left out


@dataclass(frozen=True, slots=True)
class Run:
    """Numbers (after, upto] of one kind of row."""

    store: str
    root: str
    kind: str  # decisions | outcomes
    after: int
    upto: int


Told = Callable[[int, int], None]
"""Called with how many numbers of how many are behind us."""


def export_log(
    store: str, root: str, *, now_s: float, workers: int = 1, chunk: int = CHUNK, told: Told | None = None
) -> Exported:
    """Add what is new in `store` to the export at `root`. Raises `StoreError` or `TrainingError`.

    `workers`: processes; 1: this one. `now_s`: seconds since the epoch.
    """
    place = Place(root.rstrip("/"))
    with _alone(place):
        manifest = read_manifest(place)
        strays = remove_strays(place, manifest)
        with open_read_only(store) as look:
            identity, ends, spooled = look.identity, look.ends, look.spooled
            seen = manifest.stores.get(identity, Seen())
            deleted = Deleted.of(look.deletions(seen.deletions))
            _check_not_set_back(look, seen, root, store)
            runs = [
                *_runs(store, place.root, "decisions", seen.decisions, ends.decisions, chunk),
                *_runs(store, place.root, "outcomes", seen.outcomes, ends.outcomes, chunk),
            ]
            lasts = {run.upto: _id_of(look, run.upto) for run in runs if run.kind == "decisions"}
        if deleted:
            manifest = forget(place, manifest, identity, deleted)
            seen = replace(seen, deletions=ends.deletions)
            manifest = replace(manifest, stores={**manifest.stores, identity: seen}, updated_at=now_s)
            write_manifest(place, manifest)
            strays += remove_strays(place, manifest)
        before = manifest
        total, behind, unreadable = sum(run.upto - run.after for run in runs), 0, 0
        for run, written in _worked_off(runs, workers):
            unreadable += written.unreadable
            seen = replace(seen, **{run.kind: run.upto})
            if run.kind == "decisions" and lasts[run.upto]:
                seen = replace(seen, last=(run.upto, lasts[run.upto]))
            named = (*manifest.files, *written.files)
            manifest = replace(
                manifest, files=named, stores={**manifest.stores, identity: seen}, updated_at=now_s
            )
            write_manifest(place, manifest)
            behind += run.upto - run.after
            if told is not None:
                told(behind, total)
        if not before.updated_at and not runs:  # an export of nothing is one, too
            write_manifest(place, replace(manifest, stores={identity: seen}, updated_at=now_s))
    return Exported(
        decisions=manifest.rows("decisions") - before.rows("decisions"),
        outcomes=manifest.rows("outcomes") - before.rows("outcomes"),
        files=len(manifest.files) - len(before.files),
        strays=strays,
        total_decisions=manifest.rows("decisions"),
        total_outcomes=manifest.rows("outcomes"),
        spooled=spooled,
        unreadable=unreadable,
    )


def _check_not_set_back(look: ReadOnlyStore, seen: Seen, root: str, store: str) -> None:
    """Raises `TrainingError` for a store in which exported numbers are those of other rows, or of none yet."""
    n, name = seen.last
    if look.ends.decisions < seen.decisions or look.ends.outcomes < seen.outcomes:
        problem = f"{seen.decisions} rows of {store} were exported before, it has {look.ends.decisions} now"
    elif name and _id_of(look, n) not in ("", name):
        problem = f"row {n} of {store} is not the one that was exported"
    else:
        return
    raise TrainingError(f"{root}: {problem}: it was set back to an earlier state; export into another folder")


def _id_of(look: ReadOnlyStore, n: int) -> str:
    """Of the decision with that number; "" where it is gone, or cannot be read."""
    return "".join(row.decision_id for row in look.numbered_decisions(n - 1, n))


def write_run(run: Run) -> Written:
    """Write one run's files. What a killed export wrote of it is written again, under the same names."""
    with open_read_only(run.store) as look:
        table = _table_of(look, run)
        identity, unreadable = look.identity, look.unreadable
    if not table.num_rows:
        return Written((), unreadable)
    name = f"{hashlib.blake2b(identity.encode(), digest_size=4).hexdigest()}-{run.after + 1:012d}"
    place = Place(run.root)
    moment = "created_at" if run.kind == "decisions" else "received_at"
    written = []
    for day, part in _by_day(table, moment):
        path = f"{run.kind}/day={day}/{name}.parquet"
        written.append(write_part(place, path, run.kind, identity, part))
    return Written(tuple(written), unreadable)


def _table_of(look: ReadOnlyStore, run: Run) -> Any:
    if run.kind == "decisions":
        rows = list(look.numbered_decisions(run.after, run.upto))
        tables = list(_tables(rows, look.names)) or [decision_table((), look.names)]
        look.unreadable += len(rows) - sum(table.num_rows for table in tables)
        return pa.concat_tables(tables).combine_chunks()
    return outcome_table([Arrived(*row) for row in look.numbered_outcomes(run.after, run.upto)])


def _tables(rows: Sequence[PackedRow], names: Names) -> Iterator[Any]:
    """The rows as tables, one where all can be read; damaged ones are found by halving, and left out."""
    try:
        yield decision_table(rows, names)
    except _DAMAGED:
        middle = len(rows) // 2
        for part in (rows[:middle], rows[middle:]) if middle else ():
            yield from _tables(part, names)


def _by_day(table: Any, moment: str) -> Iterator[tuple[str, Any]]:
    """The table's rows of each day (UTC), "2027-01-31", in order of time."""
    micros = table[moment].combine_chunks().cast(pa.int64()).to_numpy()
    order = np.argsort(micros, kind="stable")
    days = micros[order] // DAY_US
    ends = [*np.flatnonzero(np.diff(days)) + 1, len(days)]
    start = 0
    ordered = table if bool((np.diff(micros) >= 0).all()) else table.take(pa.array(order))
    for end in ends:
        day = str(np.datetime64(int(days[start]), "D"))
        yield day, ordered.slice(start, int(end) - start)
        start = int(end)


def _runs(store: str, root: str, kind: str, after: int, upto: int, chunk: int) -> list[Run]:
    starts = range(after, upto, chunk)
    return [Run(store, root, kind, start, min(start + chunk, upto)) for start in starts]


def _worked_off(runs: Sequence[Run], workers: int) -> Iterator[tuple[Run, Written]]:
    """The runs in their order, each with its files."""
    several = min(workers, len(runs) // 2)  # a process with one run would start longer than it wrote
    if several < 2:
        yield from ((run, write_run(run)) for run in runs)
        return
    waiting: deque[tuple[Run, Future[Written]]] = deque()
    context = multiprocessing.get_context("spawn")  # threads of libraries do not survive a fork
    with ProcessPoolExecutor(several, mp_context=context, initializer=end_with_parent) as pool:
        for run in runs:
            waiting.append((run, pool.submit(write_run, run)))
            if len(waiting) > 2 * workers:
                first, future = waiting.popleft()
                yield first, future.result()
        for first, future in waiting:
            yield first, future.result()


@contextmanager
def _alone(place: Place) -> Iterator[None]:
    """One export writes a folder at a time; the lock ends with its process."""
    if not place.local:
        yield
        return
    try:
        Path(place.root).mkdir(parents=True, exist_ok=True)
        lock = os.open(Path(place.root) / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise TrainingError(f"{place.root}: {error.strerror}") from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise TrainingError(f"{place.root}: another export is writing there") from error
        yield
    finally:
        os.close(lock)
