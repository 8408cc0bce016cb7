"""PostgreSQL as a `Database`: one server for many replicas.

A batch is copied into a table of the connection's own and inserted from there, so that what is known already is left
out. While it inserts, a transaction shares an advisory lock; who reads the numbers of rows takes it alone for a
moment, so that no row with a lower number is still on its way (see `look_at_postgres`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from router.connections.store_address import without_user
from router.decisions.database import Row, Told
from router.decisions.postgres_schema import MIGRATIONS, TABLES
from router.errors import ConfigError, StoreError

WAIT_S = 5  # for a lock, or a statement of a reader
PATIENCE_S = 5.0  # with a server that says nothing
NUMBERING = 0x41505054  # advisory lock: shared by those who insert
CHANGING = 0x41505055  # advisory lock: of who changes tables or partitions
LATEST = 253_402_214_400.0  # seconds: the last day of the year 9999
RETIRED_AT_ONCE = 10_000  # outcomes

_TEMPORARY = (
    """
    CREATE TEMPORARY TABLE IF NOT EXISTS arriving (
        place INT, decision_id TEXT, day DATE, tenant TEXT, created_at DOUBLE PRECISION, body BYTEA
    ) ON COMMIT DELETE ROWS
    """,
    """
    CREATE TEMPORARY TABLE IF NOT EXISTS arriving_outcomes (
        place INT, tenant TEXT, key TEXT, subject TEXT, subject_id TEXT, supersedes TEXT, body BYTEA
    ) ON COMMIT DELETE ROWS
    """,
)
_INSERT_DECISIONS = """
    INSERT INTO decisions (n, created_at, day, decision_id, tenant, body)
    SELECT nextval('decisions_n'), created_at, day, decision_id, tenant, body FROM arriving ORDER BY place
    ON CONFLICT (decision_id, day) DO NOTHING RETURNING decision_id
"""
_INSERT_OUTCOMES = """
    INSERT INTO outcomes (received_at, tenant, key, subject, subject_id, supersedes, body)
    SELECT %s::float8, tenant, key, subject, subject_id, supersedes, body FROM arriving_outcomes ORDER BY place
    ON CONFLICT (tenant, key) DO NOTHING RETURNING tenant, key
"""
_FOREIGN = "SELECT name FROM unnest(%s::text[]) AS name WHERE to_regclass(name) IS NOT NULL"
_SEQUENCES = ("decisions_n", "outcomes_n_seq", "deletions_n_seq")
_END = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {}"


@dataclass(frozen=True, slots=True)
class PostgresDatabase:
    """See the module. Raises `ConfigError` where the extra is not installed."""

    address: str  # postgresql://…; a password stands in PGPASSWORD or in ~/.pgpass
    errors: tuple[type[Exception], ...] = field(init=False)
    _days: set[date] = field(default_factory=set, init=False)  # that have a partition

    def __post_init__(self) -> None:
        try:
            import psycopg
        except ImportError as error:
            raise ConfigError(
                "store.postgres needs the extra `postgres`: pip install '.[postgres]' in the checkout"
            ) from error
        object.__setattr__(self, "errors", (psycopg.Error,))

    @property
    def name(self) -> str:
        return without_user(self.address)

    def connect(self) -> Any:
        # a large spool comes back in one statement per 500 rows
        connection = self._connect(statement_timeout=60)
        try:
            self._migrate(connection)
            connection.patience_s = PATIENCE_S  # not before: new indexes of large tables take minutes
            for text in _TEMPORARY:
                connection.execute(text)
        except BaseException:
            connection.close()
            raise
        return connection

    def connect_reader(self) -> Any:
        connection = self._connect(statement_timeout=WAIT_S, default_transaction_read_only="on")
        connection.patience_s = PATIENCE_S
        return connection

    def connect_onlooker(self) -> Any:
        """A connection for reading long."""
        return self._connect(statement_timeout=0)

    def run(self, connection: Any, text: str, values: Sequence[Any] = ()) -> Any:
        return connection.execute(text.replace("?", "%s"), tuple(values))

    def stream(self, connection: Any, text: str, values: Sequence[Any] = ()) -> Iterable[Any]:
        with connection.cursor(name="rows") as cursor:
            cursor.itersize = 2000
            cursor.execute(text.replace("?", "%s"), tuple(values))
            yield from cursor

    def begin(self, connection: Any) -> None:
        connection.execute("BEGIN")
        connection.execute(f"SELECT pg_advisory_xact_lock_shared({NUMBERING})")

    def rollback(self, connection: Any) -> bool:
        self._days.clear()  # partitions that were just made are gone
        if connection.closed or connection.broken:
            return False
        connection.execute("ROLLBACK")
        return True

    def insert_decisions(self, connection: Any, rows: Sequence[Row]) -> list[Row]:
        if not rows:
            return []
        days = [day_of(row.created_at) for row in rows]
        self._make_partitions(connection, sorted(set(days) - self._days))
        with connection.cursor() as cursor:
            with cursor.copy("COPY arriving FROM STDIN (FORMAT BINARY)") as copy:
                copy.set_types(("int4", "text", "date", "text", "float8", "bytea"))
                for place, (row, day) in enumerate(zip(rows, days, strict=True)):
                    copy.write_row((place, row.decision_id, day, row.tenant, row.created_at, row.body))
            cursor.execute(_INSERT_DECISIONS)
            new = {name for (name,) in cursor.fetchall()}
            cursor.execute("DELETE FROM arriving")  # the spool comes in several parts of one transaction
        return [
            row for row in {row.decision_id: row for row in reversed(rows)}.values() if row.decision_id in new
        ]

    def insert_outcomes(self, connection: Any, told: Sequence[Told], now_s: float) -> list[bool]:
        if not told:
            return []
        with connection.cursor() as cursor:
            with cursor.copy("COPY arriving_outcomes FROM STDIN (FORMAT BINARY)") as copy:
                copy.set_types(("int4", "text", "text", "text", "text", "text", "bytea"))
                for place, one in enumerate(told):
                    texts = (one.tenant, one.key, one.subject, one.subject_id, one.supersedes)
                    copy.write_row((place, *texts, one.body))
            cursor.execute(_INSERT_OUTCOMES, (now_s,))
            new = set(cursor.fetchall())
        answers = []
        for one in told:
            answers.append((one.tenant, one.key) in new)
            new.discard((one.tenant, one.key))  # a second one in the same batch is none
        return answers

    def retire(self, connection: Any, before_s: float, now_s: float) -> bool:
        first = day_of(before_s)
        for name, day in self.partitions(connection):
            if day < first:  # the whole day is older
                connection.execute("BEGIN")
                # who reads long goes first; again in an hour
                connection.execute("SET LOCAL lock_timeout = '500ms'")
                connection.execute(f"DROP TABLE IF EXISTS {name}")
                connection.execute("COMMIT")
                self._days.discard(day)
                return True
        # outcomes are in the order of their arrival: what has a time of the future came before the next one
        believed = "SELECT n, received_at FROM outcomes WHERE received_at <= %s ORDER BY n LIMIT 1"
        known, at = connection.execute(believed, (now_s,)).fetchone() or (0, now_s)
        deleted = connection.execute(
            "DELETE FROM outcomes WHERE n IN (SELECT n FROM outcomes WHERE n <= %s"
            " AND (received_at < %s OR n < %s) ORDER BY n LIMIT %s)",
            (known + RETIRED_AT_ONCE, before_s, known if at < before_s else 0, RETIRED_AT_ONCE),
        )
        return bool(deleted.rowcount)

    def partitions(self, connection: Any) -> list[tuple[str, date]]:
        """The partitions and their days, oldest first."""
        rows = connection.execute(
            "SELECT relname FROM pg_inherits JOIN pg_class ON oid = inhrelid"
            " WHERE inhparent = 'decisions'::regclass ORDER BY relname"
        ).fetchall()
        return [(name, date.fromisoformat(name.rpartition("_")[2])) for (name,) in rows]

    def _make_partitions(self, connection: Any, days: Sequence[date]) -> None:
        if not days:
            return
        connection.execute(f"SELECT pg_advisory_xact_lock({CHANGING})")
        there = {day for _, day in self.partitions(connection)}
        # made and then attached: creating it in place would wait for readers
        for day in sorted(set(days) - there):
            name = f"decisions_{day:%Y%m%d}"
            connection.execute(f"CREATE TABLE {name} (LIKE decisions)")
            bounds = f"FROM ('{day}') TO ('{day + timedelta(days=1)}')"
            connection.execute(f"ALTER TABLE decisions ATTACH PARTITION {name} FOR VALUES {bounds}")
        self._days.update(days)

    def _connect(self, **settings: Any) -> Any:
        from router.connections.postgres_connection import connect

        limits = {"lock_timeout": f"{WAIT_S}s", "idle_in_transaction_session_timeout": "60s"}
        timeout = settings.pop("statement_timeout")
        options = " ".join(f"-c {name}={value}" for name, value in (limits | settings).items())
        return connect(self.address, f"{options} -c statement_timeout={timeout}s")

    def _migrate(self, connection: Any) -> None:
        connection.execute("BEGIN")
        connection.execute(f"SELECT pg_advisory_xact_lock({CHANGING})")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS apportion_schema (version INT NOT NULL, at TIMESTAMPTZ DEFAULT now())"
        )
        (version,) = connection.execute("SELECT coalesce(max(version), 0) FROM apportion_schema").fetchone()
        if version > len(MIGRATIONS):
            raise StoreError(
                f"decision store {self.name}: written by a newer version (schema {version}, this one knows "
                f"{len(MIGRATIONS)})"
            )
        foreign = () if version else connection.execute(_FOREIGN, (list(TABLES),)).fetchall()
        if foreign:
            raise StoreError(
                f"decision store {self.name}: its table {foreign[0][0]!r} is another program's; wants a database of "
                "its own, or a schema"
            )
        for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
            connection.execute(script)
            connection.execute("INSERT INTO apportion_schema (version) VALUES (%s)", (number,))
        connection.execute("COMMIT")


def day_of(moment: float) -> date:
    """The day of a time (seconds since the epoch), UTC; between 1970 and 9999."""
    return datetime.fromtimestamp(min(max(moment, 0.0), LATEST), UTC).date()


@contextmanager
def look_at_postgres(database: PostgresDatabase) -> Iterator[tuple[Any, str, tuple[int, int, int]]]:
    """A connection within one moment, the store's identity, the highest numbers.

    Numbers are given before they are committed: a row with a lower number could become visible after one with a
    higher. Waiting until nobody inserts (some milliseconds) and reading how far the sequences are excludes that.
    """
    connection = database.connect_onlooker()
    try:
        known = connection.execute("SELECT to_regclass('apportion_schema')").fetchone()[0]
        if known is None:
            raise StoreError(
                f"decision store {database.name}: this database holds no decision store of apportion"
            )
        (version,) = connection.execute("SELECT coalesce(max(version), 0) FROM apportion_schema").fetchone()
        if version > len(MIGRATIONS):
            raise StoreError(f"decision store {database.name}: written by a newer version (schema {version})")
        connection.execute("BEGIN")
        connection.execute(f"SELECT pg_advisory_xact_lock({NUMBERING})")
        ends = [int(connection.execute(_END.format(name)).fetchone()[0]) for name in _SEQUENCES]
        connection.execute("COMMIT")
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        (identity,) = connection.execute("SELECT identity FROM store").fetchone()
        yield connection, identity, (ends[0], ends[1], ends[2])
    finally:
        connection.close()
