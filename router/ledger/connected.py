"""A database that is there when it is needed: connected at first use, given up after a failure, connected again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from router.errors import StoreError


@dataclass(frozen=True, slots=True)
class Dialect:
    """What differs between databases. Connections commit only when told so."""

    connect: Callable[[], Any]  # raises one of `errors`, or `StoreError`
    errors: tuple[type[Exception], ...]
    now: Callable[[], float]  # seconds since the epoch, where `clock` is empty
    mark: str  # of a parameter
    begin: str
    serial: str  # type of a column that counts up
    bytes: str  # type of a column of bytes
    lock: str = ""  # after a SELECT of rows that will be written
    alone: str = ""  # makes two that create the tables at once wait for each other; "": `begin` does
    clock: str = ""  # seconds since the epoch, as SQL
    there: str = ""  # a row where a table with the name {table} is there
    snapshot: str = ""  # after `begin`: all that is read is of one moment; "": it is anyway


class Connected:
    """One connection, for one thread at a time."""

    def __init__(
        self,
        dialect: Dialect,
        name: str,  # for messages: of what, and where
        prepare: Callable[[Any], None],  # makes the tables, in a transaction of its own
    ) -> None:
        self.dialect, self.name, self._prepare = dialect, name, prepare
        self._connection: Any = None
        self._lock = threading.Lock()

    @contextmanager
    def use(self) -> Iterator[Any]:
        """The connection; after any failure it is given up, and what it had begun with it. Raises `StoreError`."""
        with self._lock, self._translated():
            try:
                yield self._opened()
            except BaseException:
                self._drop()
                raise

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        """The connection in a transaction, which is taken back where the caller raises. Raises `StoreError`."""
        with self._lock, self._translated():
            connection = self._opened()
            connection.execute(self.dialect.begin)
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    def close(self) -> None:
        """Release the connection; the next use opens another."""
        with self._lock:
            self._drop()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except self.dialect.errors as error:
            self._drop()
            raise StoreError(f"{self.name}: {str(error).strip()}") from error

    def _opened(self) -> Any:
        if self._connection is None:
            self._connection = self.dialect.connect()
            try:
                self._connection.execute(self.dialect.begin)
                if self.dialect.alone:
                    self._connection.execute(self.dialect.alone)
                self._prepare(self._connection)
                self._connection.execute("COMMIT")
            except BaseException:
                self._drop()
                raise
        return self._connection

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(*self.dialect.errors):
                connection.close()
