"""`apportion audit` and `apportion usage`: what was spent, proved and broken down, from the stores themselves."""

from __future__ import annotations

import math
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from router.command_group import CommandFailed
from router.commands.moments import MOMENTS, period
from router.commands.tables import as_json, counted, money, table
from router.domain.usage import units

if TYPE_CHECKING:
    from router.config import Config
    from router.domain.decision import Decision
    from router.ledger.audit import AccountAudit, Carried
    from router.ledger.state import Movement, State

ConfigFile = Annotated[Path, typer.Option("--config", "-c", help="The configuration.")]
Decisions = Annotated[
    list[str] | None,
    typer.Option(
        "--decisions",
        help="A decision store, its file or postgresql://…; repeat for several. Default: the configuration's.",
    ),
]
SHADOWS = "(shadow runs)"  # on money of their own: no tenant pays for them
JSON = Annotated[bool, typer.Option("--json", help="Print JSON instead.")]


def audit(config: ConfigFile = Path("router.toml"), decisions: Decisions = None, json: JSON = False) -> None:
    """Prove that every micro-unit of the budgets adds up: from the ledger's movements, and against the decisions.

    Exit code 0: it does. 1: it does not; every difference is named. May be run while the service runs: amounts that
    are in flight then are in the leases and not yet in the decisions.
    """
    from router.advising.held_reservations import REPORTED_LATER
    from router.configuration.budgets import ledger_address
    from router.configuration.file import load
    from router.connections.store_address import is_postgres
    from router.ledger import ALL
    from router.ledger.audit import audit as audit_of
    from router.ledger.audit import compare_charges
    from router.ledger.databases import IN_MEMORY

    read = load(config)
    address = ledger_address(read)
    if address == IN_MEMORY:
        raise CommandFailed(
            f"{config}: budgets are kept in the service's memory; name a file in [store] ledger"
        )
    if not is_postgres(address) and not (config.parent / address).is_file():
        raise CommandFailed(f"{config.parent / address}: there is no such file; nothing was ever spent")
    found = audit_of(*_looked_at(address, config.parent))
    files = _files(decisions, read, config)
    problems = [f"{account.account}: {text}" for account in found for text in account.problems]
    if files:
        charged: dict[str, int] = defaultdict(int)
        rows: Counter[str] = Counter()
        less: set[str] = set()
        for row in _rows(files, 0.0):
            rows[row.replica] += 1
            if "/" not in row.replica:  # a shadow run: on money of its own
                charged[row.replica] += row.charged
                if row.stop_reason == "decided" or REPORTED_LATER in row.degraded:
                    less.add(row.replica)  # their callers report what they used after the row
        arrived = _arrived(files)
        less |= {name for name, count in arrived.items() if count > rows[name]}  # some were thrown away since
        root = next(account for account in found if account.account == ALL)
        if read.server.forward:  # what is sent on is paid for, and has no rows
            less |= root.by_replica.keys()
        problems += [f"{ALL}: {text}" for text in compare_charges(root, charged, less)]
    if json:
        typer.echo(as_json({"ok": not problems, "problems": problems, "accounts": found}))
    else:
        _print(found, problems, len(files))
    if problems:
        raise typer.Exit(1)


def _looked_at(address: str, base: Path) -> tuple[dict[str, State], list[Movement], dict[str, Carried]]:
    """Accounts, movements and what was carried over, of one moment."""
    from router.ledger import ALL
    from router.ledger.databases import open_to_look

    store = open_to_look(address, base)
    try:
        looked = store.look()
    finally:
        store.close()
    if ALL not in looked[0]:
        raise CommandFailed(f"{store.name}: it has no accounts; no service has used it yet")
    return looked


def usage(
    by: Annotated[
        Literal["tenant", "plan", "backend"], typer.Option(help="What to break it down by.")
    ] = "tenant",
    since: Annotated[str, typer.Option(help=f"Decisions from then on: {MOMENTS}. Default: all.")] = "",
    until: Annotated[
        str, typer.Option(help="Decisions before then, written the same way. Default: all.")
    ] = "",
    config: ConfigFile = Path("router.toml"),
    decisions: Decisions = None,
    json: JSON = False,
) -> None:
    """Say what was spent on whom or what: queries, tokens and money, from the logged decisions.

    A month's bill: `--since 2026-11-01 --until 2026-12-01` (UTC). Decisions that are no longer in the store, most of
    all those older than [store] retention_days, cannot be in the sums; how many that are is said.
    """
    from router.configuration.file import load

    files = _files(decisions, load(config), config)
    if not files:
        raise CommandFailed(f"{config}: there is no decision store; name its file with --decisions")
    start, end = period(since, until, time.time())
    begin = 0.0 if start is None else start
    sums: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for row in _rows(files, begin, math.inf if end is None else end):
        for name, part in _PARTS[by](row):
            for what, amount in part.items():
                sums[name][what] += amount
    _tell_thrown_away(files, begin)
    if json:
        typer.echo(as_json(sums))
        return
    rows: list[tuple[str, ...]] = [(by.upper(), "QUERIES", "TOKENS IN", "TOKENS OUT", "COST")]
    for name, one in sorted(sums.items(), key=lambda item: -item[1]["cost"]):
        counts = (f"{one[what]:.0f}" for what in ("queries", "tokens_in", "tokens_out"))
        rows.append((name or "-", *counts, money(one["cost"])))
    typer.echo(table(rows) if sums else "no decisions yet")


def _whole(row: Decision) -> dict[str, float]:
    used = row.usage.values()
    return {
        "queries": 1,
        "tokens_in": sum(one.tokens_in for one in used),
        "tokens_out": sum(one.tokens_out for one in used),
        "cost": row.cost,
    }


def _by_backend(row: Decision) -> Iterable[tuple[str, dict[str, float]]]:
    for name, one in row.usage.items():
        cost = row.costs.get(name, 0.0)
        yield name, {"queries": 1, "tokens_in": one.tokens_in, "tokens_out": one.tokens_out, "cost": cost}


_PARTS: dict[str, Callable[[Any], Iterable[tuple[str, dict[str, float]]]]] = {
    "tenant": lambda row: [(SHADOWS if "/" in row.replica else row.tenant, _whole(row))],
    "plan": lambda row: [(row.plan, _whole(row))],
    "backend": _by_backend,
}


def _files(named: list[str] | None, config: Config, place: Path) -> list[str]:
    if named or config.store.postgres:
        return named or [config.store.postgres]
    file = place.parent / config.store.sqlite
    return [str(file)] if config.store.sqlite != ":memory:" and file.is_file() else []


def _arrived(files: list[str]) -> Counter[str]:
    """By replica: rows that were ever there."""
    from router.decisions.read_only import open_read_only

    found: Counter[str] = Counter()
    for file in files:
        with open_read_only(file) as look:
            found.update(look.arrived())
    return found


def _tell_thrown_away(files: list[str], since: float) -> None:
    from router.decisions.read_only import open_read_only

    for file in files:
        with open_read_only(file) as look:
            gone, name = look.thrown_away(since), look.database.name
        if gone:
            text = (
                f"of the decisions that were deleted, {gone} may be of this time; the sums are without them"
            )
            typer.echo(f"{text}: {name}", err=True)


def _rows(files: list[str], since: float, until: float = math.inf) -> Iterable[Decision]:
    from router.decisions.read_only import open_read_only

    for file in files:
        unreadable = 0
        with open_read_only(file) as look:
            for row in look.decisions(since, until):
                if row is None:
                    unreadable += 1
                else:
                    yield row
        if unreadable:
            typer.echo(f"{counted(unreadable, 'decision')} left out, damaged: {file}", err=True)


def _print(found: Iterable[AccountAudit], problems: list[str], files: int) -> None:
    rows: list[tuple[str, ...]] = [
        (
            "ACCOUNT",
            "LIMIT",
            "GRANTED",
            "RETURNED",
            "SPENT",
            "LOST",
            "HELD",
            "BREACHED",
            "ALLOWED",
            "OVER",
            "ROWS",
        )
    ]
    for one in found:
        limit = "none" if one.limit is None else units(one.limit)
        amounts = (
            one.granted,
            one.returned,
            one.spent,
            one.lost,
            one.held,
            one.breached,
            one.allowed,
            one.over,
        )
        rows.append((one.account, limit, *map(units, amounts), str(one.movements)))
    typer.echo(table(rows))
    for problem in problems:
        typer.echo(problem)
    checked = (
        f"and {files} decision store{'s' if files > 1 else ''}"
        if files
        else "alone: no decision store was found"
    )
    typer.echo(f"{'it does NOT add up' if problems else 'every micro-unit adds up'} (movements {checked})")
