"""Where batches are kept: two tables in the database of the budgets, so that any replica takes up what another left.

A replica holds the batches it works on for `HOLD_S`, and renews that; when it dies the next one to look takes them.
Before a query is asked, what it may cost is written down; if no result follows, that counts as spent (what it did cost,
where it was cut with notice): a batch never costs more than its budget, whoever dies when.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from router.batches.batch import Batch, BatchState, Item, Result
from router.errors import RequestConflict, UnknownName
from router.ledger.connected import Connected, Dialect
from router.ledger.databases import database

HOLD_S = 30.0
KEEP_S = 7 * 86_400.0  # after the end
ROWS_AT_ONCE = 500
TABLES = (
    """
    CREATE TABLE IF NOT EXISTS batches (
        batch_id TEXT PRIMARY KEY, tenant TEXT NOT NULL, digest {bytes} NOT NULL, total INTEGER NOT NULL,
        budget BIGINT, finish_by DOUBLE PRECISION, created_at DOUBLE PRECISION NOT NULL, state TEXT NOT NULL,
        holder TEXT NOT NULL, held_until DOUBLE PRECISION NOT NULL, results INTEGER NOT NULL)
    """,
    """
    CREATE TABLE IF NOT EXISTS batch_items (
        batch_id TEXT NOT NULL, position INTEGER NOT NULL, body {bytes} NOT NULL, held BIGINT NOT NULL,
        cost BIGINT NOT NULL, failed INTEGER NOT NULL, number INTEGER NOT NULL, result {bytes},
        PRIMARY KEY (batch_id, position))
    """,
    "CREATE INDEX IF NOT EXISTS batch_items_by_number ON batch_items (batch_id, number)",
)
# what is being asked when a replica dies or a batch is cancelled may have cost all it could
_CUT_OFF = "UPDATE batch_items SET cost = cost + held, held = 0 WHERE batch_id = ? AND number = 0"
_BATCH = """
    SELECT b.batch_id, b.tenant, b.total, b.budget, b.finish_by, b.created_at, b.state,
        coalesce(sum(CASE WHEN i.number > 0 THEN 1 - i.failed ELSE 0 END), 0),
        coalesce(sum(i.failed), 0), coalesce(sum(i.cost), 0)
    FROM batches b LEFT JOIN batch_items i ON i.batch_id = b.batch_id
    WHERE b.batch_id = ? GROUP BY b.batch_id
"""


class Batches:
    """All batches of a database. Every call may block; raises `StoreError`. Connects when it is first used."""

    def __init__(self, dialect: Dialect, name: str) -> None:
        self._dialect = dialect
        self._connected = Connected(dialect, f"store of batches {name}", self._make_tables)

    def add(self, batch: Batch, digest: bytes, bodies: Sequence[bytes]) -> Batch:
        """Keep it; the batch of that id where there is one with the same queries.

        More money lets one go on that had run out of it. Raises `RequestConflict` for other queries under that id.
        """
        with self._transaction() as run:
            known = run(
                "SELECT digest, budget, state FROM batches WHERE batch_id = ?", batch.batch_id
            ).fetchone()
            if known is None:
                self._insert(run, batch, digest, bodies)
            elif bytes(known[0]) != digest:
                raise RequestConflict(f"batch {batch.batch_id!r} stands for other queries")
            elif known[2] == BatchState.EXHAUSTED and (
                batch.budget is None or batch.budget > (known[1] or 0)
            ):
                text = "UPDATE batches SET budget = ?, state = ?, held_until = 0 WHERE batch_id = ?"
                run(text, batch.budget, BatchState.RUNNING.value, batch.batch_id)
            return _batch(run, batch.batch_id)

    def get(self, batch_id: str) -> Batch:
        """How far it is. Raises `UnknownName`."""
        with self._transaction() as run:
            return _batch(run, batch_id)

    def end(self, batch_id: str, state: BatchState) -> Batch:
        """It is over, if it was not; one that ran out of money can still be cancelled. Raises `UnknownName`."""
        further = BatchState.EXHAUSTED if state is BatchState.CANCELLED else BatchState.RUNNING
        ends = (BatchState.RUNNING.value, further.value)
        with self._transaction() as run:
            # from now on it is kept for `KEEP_S`, whoever held it until when
            text = "UPDATE batches SET state = ?, held_until = ? WHERE batch_id = ? AND state IN (?, ?)"
            if run(text, state.value, self._now(run), batch_id, *ends).rowcount:
                run(_CUT_OFF, batch_id)
            return _batch(run, batch_id)

    def take(self, holder: str) -> list[str]:
        """Hold what runs and nobody else holds, renew what is held already; the ids of both. Old batches go."""
        with self._transaction() as run:
            now = self._now(run)
            ended = "SELECT batch_id FROM batches WHERE state <> ? AND held_until < ?"
            old = [row[0] for row in run(ended, BatchState.RUNNING.value, now - KEEP_S).fetchall()]
            for batch_id in old:
                run("DELETE FROM batch_items WHERE batch_id = ?", batch_id)
                run("DELETE FROM batches WHERE batch_id = ?", batch_id)
            text = f"""
                SELECT batch_id FROM batches WHERE state = ? AND (holder = ? OR held_until < ?)
                ORDER BY created_at {self._dialect.lock}
            """  # noqa: S608 (a clause of ours)
            found = run(text, BatchState.RUNNING.value, holder, now).fetchall()
            for (batch_id,) in found:
                run(
                    "UPDATE batches SET holder = ?, held_until = ? WHERE batch_id = ?",
                    holder,
                    now + HOLD_S,
                    batch_id,
                )
            return [batch_id for (batch_id,) in found]

    def leave(self, holder: str) -> None:
        """Let others take what this replica holds."""
        with self._transaction() as run:
            text = "UPDATE batches SET held_until = 0 WHERE holder = ? AND state = ?"
            run(text, holder, BatchState.RUNNING.value)

    def waiting(self, batch_id: str) -> list[Item]:
        """The queries without a result, in their order; none of them is being asked."""
        with self._transaction() as run:
            run(_CUT_OFF, batch_id)
            text = (
                "SELECT position, body FROM batch_items WHERE batch_id = ? AND number = 0 ORDER BY position"
            )
            return [Item(int(position), bytes(body)) for position, body in run(text, batch_id).fetchall()]

    def begin(self, batch_id: str, position: int, most: int) -> None:
        """A query is about to be asked, for at most so many micro-dollars."""
        with self._transaction() as run:
            run(
                "UPDATE batch_items SET held = ? WHERE batch_id = ? AND position = ?",
                most,
                batch_id,
                position,
            )

    def cut(self, batch_id: str, position: int, most: int, cost: int) -> None:
        """A query that was begun for at most `most` was left, and has cost that; it waits again.

        Where others have taken the batch up meanwhile it counts as they counted it: with all of `most`.
        """
        with self._transaction() as run:
            run(
                "UPDATE batch_items SET cost = cost + ?, held = 0"
                " WHERE batch_id = ? AND position = ? AND held = ? AND number = 0",
                cost,
                batch_id,
                position,
                most,
            )

    def finish(self, batch_id: str, result: Result) -> None:
        """It has its result; a second one of the same query is dropped."""
        with self._transaction() as run:
            run("UPDATE batches SET results = results + 1 WHERE batch_id = ?", batch_id)
            text = """
                UPDATE batch_items SET result = ?, failed = ?, cost = cost + ?, held = 0,
                    number = (SELECT results FROM batches WHERE batch_id = ?)
                WHERE batch_id = ? AND position = ? AND number = 0
            """
            place = (batch_id, batch_id, result.position)
            run(text, result.body, int(result.failed), result.cost, *place)

    def results(self, batch_id: str, after: int, most: int) -> list[Result]:
        """Numbered above `after`, in the order they came: paging finds everything, also while the batch runs."""
        with self._transaction() as run:
            _batch(run, batch_id)
            text = """
                SELECT position, result, failed, cost, number FROM batch_items
                WHERE batch_id = ? AND number > ? ORDER BY number LIMIT ?
            """
            rows = run(text, batch_id, after, most).fetchall()
        return [
            Result(int(at), bytes(body), bool(failed), int(cost), int(n))
            for at, body, failed, cost, n in rows
        ]

    def forget(self, tenant: str) -> int:
        """Delete a tenant's batches with their texts, those that run as well; how many there were."""
        with self._transaction() as run:
            own = "SELECT batch_id FROM batches WHERE tenant = ?"
            run(f"DELETE FROM batch_items WHERE batch_id IN ({own})", tenant)  # noqa: S608 (a text of ours)
            return int(run("DELETE FROM batches WHERE tenant = ?", tenant).rowcount)

    def close(self) -> None:
        """Release the connection."""
        self._connected.close()

    def _insert(self, run: _Run, batch: Batch, digest: bytes, bodies: Sequence[bytes]) -> None:
        text = "INSERT INTO batches VALUES (?, ?, ?, ?, ?, ?, ?, ?, '', 0, 0)"
        state = BatchState.RUNNING.value
        when = (batch.finish_by, self._now(run), state)
        run(text, batch.batch_id, batch.tenant, digest, len(bodies), batch.budget, *when)
        for start in range(0, len(bodies), ROWS_AT_ONCE):
            rows = bodies[start : start + ROWS_AT_ONCE]
            places = ", ".join(["(?, ?, ?, 0, 0, 0, 0, NULL)"] * len(rows))
            values = [value for at, body in enumerate(rows, start) for value in (batch.batch_id, at, body)]
            run(f"INSERT INTO batch_items VALUES {places}", *values)  # noqa: S608 (marks of ours)

    def _now(self, run: _Run) -> float:
        if not self._dialect.clock:
            return self._dialect.now()
        return float(run(f"SELECT {self._dialect.clock}").fetchone()[0])

    @contextmanager
    def _transaction(self) -> Iterator[_Run]:
        with self._connected.transaction() as connection:
            yield lambda text, *values: connection.execute(text.replace("?", self._dialect.mark), values)

    def _make_tables(self, connection: Any) -> None:
        for table in TABLES:
            connection.execute(table.format(bytes=self._dialect.bytes))


_Run = Callable[..., Any]


def open_batches(address: str, base: Path, wall_s: Callable[[], float]) -> Batches:
    """Beside the budgets at `address` (see `open_shared`); ":memory:" keeps them as long as the process lives."""
    return Batches(*database(address, base, wall_s))


def _batch(run: _Run, batch_id: str) -> Batch:
    row = run(_BATCH, batch_id).fetchone()
    if row is None:
        raise UnknownName("batch", batch_id)
    budget = None if row[3] is None else int(row[3])
    created, state = float(row[5]), BatchState(row[6])
    counts = (int(row[7]), int(row[8]), int(row[9]))
    return Batch(row[0], row[1], int(row[2]), budget, row[4], created, state, *counts)
