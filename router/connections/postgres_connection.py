"""A connection to PostgreSQL that ends by itself when the server says nothing for too long.

`statement_timeout` is the server's own clock: a server that is stopped, or behind a network that drops packets, does
not keep it, and its kernel goes on acknowledging, so that TCP notices nothing either. Without a clock on this side a
thread would wait for as long as the server is away. A connection that was given up is closed: what it had begun may
have been committed, so whoever uses it must be able to do the same thing twice.
"""

from __future__ import annotations

import time
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

CONNECT_S = 3  # for a connection, its greeting and its password
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")  # libpq's
INTERVAL_S = 0.1  # psycopg's own: how often it looks for Ctrl-C


class TimedConnection(psycopg.Connection[Any]):
    """`patience_s`: how long one exchange with the server may take; infinite until it is set."""

    patience_s = float("inf")

    def wait(self, gen: Any, interval: float = INTERVAL_S, timeout: float | None = None) -> Any:
        """psycopg's loop around every exchange. Raises `OperationalError` after `patience_s`, and closes."""
        try:
            return super().wait(self._timed(gen), interval, timeout)
        except psycopg.Error as error:
            error.args = (_line(error), *error.args[1:])
            raise

    def _timed(self, gen: Any) -> Any:
        """The same steps; the look at the clock comes when the server is silent, every `INTERVAL_S`."""
        ends = time.monotonic() + self.patience_s
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if not ready and time.monotonic() > ends:
                    self.pgconn.finish()
                    raise psycopg.OperationalError(f"the server said nothing for {self.patience_s:g} s")
                wanted = gen.send(ready)
        except StopIteration as end:
            return end.value


def connect(address: str, options: str, patience_s: float = float("inf")) -> TimedConnection:
    """Connect, each statement a transaction of its own; `options` are the server's settings. Raises `psycopg.Error`."""
    try:
        connection = TimedConnection.connect(
            address,
            autocommit=True,
            connect_timeout=CONNECT_S,
            options=f"{conninfo_to_dict(address).get('options') or ''} {options}".strip(),
            application_name="apportion",
            prepare_threshold=None,  # poolers do not know prepared statements
        )
    except psycopg.OperationalError as error:
        raise psycopg.OperationalError(_line(error)) from error
    connection.patience_s = patience_s
    return connection


def fault_of(address: str) -> str:
    """Why an address can never be connected to, whatever the server: "" where nothing is known to be wrong with it."""
    try:
        said = conninfo_to_dict(address).get("sslmode")
    except psycopg.Error as error:
        return str(error).strip()
    if said is None or said in SSL_MODES:
        return ""
    return f"sslmode wants one of {', '.join(SSL_MODES)}, got {said!r}"


def _line(error: psycopg.Error) -> str:
    """What the server says, on one line, with its hints and without the statement, which is ours."""
    return " ".join(str(error).partition("\nLINE ")[0].split())
