"""Accounts shared through a SQL database: SQLite on one machine, PostgreSQL for many, one code.

An account is one row, its state as JSON: a transaction locks the rows it needs in the order of their names, lets
`sync` work on them, and writes them back with the movements. That is five statements, however many accounts. The
clock is the database's, so that windows are the same for all replicas.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import Any, TypeAlias, TypeVar

import msgspec

from router.errors import StoreError
from router.ledger.accounts import Account, Accounts
from router.ledger.audit import Carried, carry_over
from router.ledger.connected import Connected, Dialect
from router.ledger.shared import calls_for_attention, new_state, register_in
from router.ledger.state import Answer, Ask, Moved, Movement, State
from router.ledger.sync import set_limit, sync

Result = TypeVar("Result")
# the result, what moved, whether replicas should ask again
_Done: TypeAlias = tuple[Result, list[Movement], bool]

SCHEMA = 1
ROWS_AT_ONCE = 500  # of one INSERT; SQLite takes 32,766 parameters
CARRIED_AT_ONCE = 1000  # movements; their account is locked meanwhile
_COLUMNS = "at, account, kind, amount, replica, lease, leaves_at, version"

TABLES = (
    "CREATE TABLE IF NOT EXISTS budget_schema (version INTEGER NOT NULL)",
    f"INSERT INTO budget_schema (version) SELECT {SCHEMA} WHERE NOT EXISTS (SELECT 1 FROM budget_schema)",  # noqa: S608 (our number)
    "CREATE TABLE IF NOT EXISTS budget_accounts (name TEXT PRIMARY KEY, state TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS budget_changes (n BIGINT NOT NULL)",
    "INSERT INTO budget_changes (n) SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM budget_changes)",
    """
    CREATE TABLE IF NOT EXISTS budget_movements (
        n {serial} PRIMARY KEY,
        at DOUBLE PRECISION NOT NULL,
        account TEXT NOT NULL,
        kind TEXT NOT NULL,
        amount BIGINT NOT NULL,
        replica TEXT NOT NULL,
        lease BIGINT NOT NULL,
        leaves_at DOUBLE PRECISION NOT NULL,
        version BIGINT NOT NULL
    )
    """,
    "CREATE INDEX IF NOT EXISTS budget_movements_by_account ON budget_movements (account, n)",
    "CREATE TABLE IF NOT EXISTS budget_carried (account TEXT PRIMARY KEY, body TEXT NOT NULL)",
)


class SQL:
    """The contract of `SharedStore`; connects when it is first used and again after every failure."""

    immediate = False

    def __init__(self, dialect: Dialect, name: str, looks: bool = False) -> None:
        self.name = f"store of budgets {name}"  # for messages
        self.statements = 0  # sent since the start
        self._dialect = dialect
        self._connected = Connected(dialect, self.name, self._check_tables if looks else self._make_tables)

    def register(self, replica: str, accounts: Accounts) -> None:
        def work(states: dict[str, State], now: float) -> _Done[None]:
            return None, register_in(states, replica, accounts, now), True

        self._change(sorted(accounts.by_name), work)

    def sync(self, replica: str, asks: Sequence[Ask]) -> tuple[Answer, ...]:
        def work(states: dict[str, State], now: float) -> _Done[tuple[Answer, ...]]:
            answers: list[Answer] = []
            rows: list[Movement] = []
            attention = False
            for ask in asks:
                state = states.setdefault(ask.account, new_state(ask))
                before = state.hungry_at
                answer, moved = sync(state, ask, replica, now)
                attention = attention or calls_for_attention(state, before)
                answers.append(answer)
                rows += moved
            return tuple(answers), rows, attention

        return self._change(sorted(ask.account for ask in asks), work)

    def changes(self) -> int:
        with self._connected.use() as connection:
            (number,) = self._run(connection, "SELECT n FROM budget_changes").fetchone()
            return int(number)

    def set_limit(self, account: Account, limit: int | None) -> int:
        def work(states: dict[str, State], now: float) -> _Done[int]:
            state = states.setdefault(account.name, new_state(account))
            moved = set_limit(state, account.name, limit, now)
            return state.version, moved, True

        return self._change([account.name], work)

    def carry_over(self, keep_s: float) -> bool:
        with self._connected.use() as connection:
            self._run(connection, self._dialect.begin)
            more = self._carried_over(connection, keep_s)
            self._run(connection, "COMMIT")
            return more

    def close(self) -> None:
        self._connected.close()

    # ------------------------------------------------------------------------------------------------- for audits

    def states(self) -> dict[str, State]:
        """All accounts as they are."""
        with self._connected.use() as connection:
            rows = self._run(connection, "SELECT name, state FROM budget_accounts ORDER BY name").fetchall()
        return {name: _decode(text) for name, text in rows}

    def look(self) -> tuple[dict[str, State], list[Movement], dict[str, Carried]]:
        """All accounts, all movements and what was carried over of older ones, of one moment."""
        with self._connected.use() as connection:
            self._run(connection, self._dialect.begin)
            if self._dialect.snapshot:
                self._run(connection, self._dialect.snapshot)
            rows = self._run(connection, "SELECT name, state FROM budget_accounts ORDER BY name").fetchall()
            moved = self._run(connection, f"SELECT {_COLUMNS} FROM budget_movements ORDER BY n").fetchall()  # noqa: S608
            kept = self._run(connection, "SELECT account, body FROM budget_carried").fetchall()
            self._run(connection, "COMMIT")
        states = {name: _decode(text) for name, text in rows}
        carried = {name: msgspec.json.decode(body, type=Carried) for name, body in kept}
        return states, [_movement(row) for row in moved], carried

    # ----------------------------------------------------------------------------------------------------- inside

    def _change(
        self, names: Sequence[str], work: Callable[[dict[str, State], float], _Done[Result]]
    ) -> Result:
        """Lock the accounts, let `work(states, now)` change them, write them and what it moved; its result."""
        with self._connected.use() as connection:
            self._run(connection, self._dialect.begin)
            states, now = self._locked(connection, names)
            result, moved, attention = work(states, now)
            rows = [(name, msgspec.json.encode(state).decode()) for name, state in states.items()]
            self._insert(
                connection,
                "budget_accounts (name, state)",
                rows,
                "ON CONFLICT (name) DO UPDATE SET state = excluded.state",
            )
            self._insert(connection, f"budget_movements ({_COLUMNS})", [_row(movement) for movement in moved])
            if attention:
                self._run(connection, "UPDATE budget_changes SET n = n + 1")
            self._run(connection, "COMMIT")
            return result

    def _carried_over(self, connection: Any, keep_s: float) -> bool:
        """A part of the movements of the account that has the oldest one; False: none is older than `keep_s`."""
        mark, clock = self._dialect.mark, self._dialect.clock
        now = self._run(connection, f"SELECT {clock}").fetchone()[0] if clock else self._dialect.now()
        before = float(now) - keep_s
        query = "SELECT account, at FROM budget_movements ORDER BY n LIMIT 1"
        account, at = self._run(connection, query).fetchone() or ("", before)
        if at >= before:
            return False
        query = f"SELECT name FROM budget_accounts WHERE name = {mark} {self._dialect.lock}"  # noqa: S608
        # nobody else moves anything in it, or carries it over
        self._run(connection, query, [account]).fetchall()
        query = f"SELECT n, {_COLUMNS} FROM budget_movements WHERE account = {mark} ORDER BY n LIMIT {mark}"  # noqa: S608
        rows = self._run(connection, query, [account, CARRIED_AT_ONCE]).fetchall()
        old = list(takewhile(lambda row: row[1] < before, rows))
        if old:
            query = f"SELECT body FROM budget_carried WHERE account = {mark}"  # noqa: S608
            known = self._run(connection, query, [account]).fetchone()
            carried = None if known is None else msgspec.json.decode(known[0], type=Carried)
            carried = carry_over(account, [_movement(row[1:]) for row in old], carried)
            body, rest = msgspec.json.encode(carried).decode(), "SET body = excluded.body"
            into = "budget_carried (account, body)"
            self._insert(connection, into, [(account, body)], f"ON CONFLICT (account) DO UPDATE {rest}")
            query = f"DELETE FROM budget_movements WHERE account = {mark} AND n <= {mark}"  # noqa: S608
            self._run(connection, query, [account, old[-1][0]])
        return True

    def _locked(self, connection: Any, names: Sequence[str]) -> tuple[dict[str, State], float]:
        """The states of those that have one, and the time. Rows of new accounts are made, empty, and locked too."""
        clock, marks = self._dialect.clock or "0", ", ".join([self._dialect.mark] * len(names))
        query = f"SELECT {clock}, name, state FROM budget_accounts WHERE name IN ({marks}) ORDER BY name"  # noqa: S608
        rows = self._run(connection, f"{query} {self._dialect.lock}", names).fetchall()
        missing = sorted({*names} - {name for _, name, _ in rows})
        if missing:
            new = [(name, "") for name in missing]
            self._insert(connection, "budget_accounts (name, state)", new, "ON CONFLICT (name) DO NOTHING")
            rows = self._run(connection, f"{query} {self._dialect.lock}", names).fetchall()
        now = float(rows[0][0]) if self._dialect.clock else self._dialect.now()
        return {name: _decode(text) for _, name, text in rows if text}, now

    def _insert(self, connection: Any, into: str, rows: Sequence[tuple[Any, ...]], rest: str = "") -> None:
        for start in range(0, len(rows), ROWS_AT_ONCE):
            part = rows[start : start + ROWS_AT_ONCE]
            one = f"({', '.join([self._dialect.mark] * len(part[0]))})"
            text = f"INSERT INTO {into} VALUES {', '.join([one] * len(part))} {rest}"  # noqa: S608
            self._run(connection, text, [value for row in part for value in row])

    def _run(self, connection: Any, text: str, values: Sequence[Any] = ()) -> Any:
        self.statements += 1
        return connection.execute(text, tuple(values))

    def _make_tables(self, connection: Any) -> None:
        for text in TABLES:
            connection.execute(text.format(serial=self._dialect.serial))
        self._check_version(connection)

    def _check_tables(self, connection: Any) -> None:
        """Of a store that is only looked at: a service made them, or there is nothing to see."""
        for table in ("budget_schema", "budget_accounts", "budget_movements", "budget_carried"):
            if connection.execute(self._dialect.there.format(table=table)).fetchone() is None:
                raise StoreError(f"{self.name}: it has no accounts; no service has used it yet")
        self._check_version(connection)

    def _check_version(self, connection: Any) -> None:
        (version,) = connection.execute("SELECT version FROM budget_schema").fetchone()
        if version != SCHEMA:
            raise StoreError(f"{self.name}: its tables are of version {version}, this program knows {SCHEMA}")


def _decode(text: str) -> State:
    return msgspec.json.decode(text, type=State)


def _movement(row: Sequence[Any]) -> Movement:
    at, account, kind, *rest = row
    return Movement(at, account, Moved(kind), *rest)


def _row(movement: Movement) -> tuple[Any, ...]:
    kind = movement.kind.value
    rest = (movement.amount, movement.replica, movement.lease, movement.leaves_at, movement.version)
    return (movement.at, movement.account, kind, *rest)
