"""`apportion store`: delete what a tenant or a decision left in a store, or copy the store while it is written to."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from router.command_group import CommandFailed
from router.commands.tables import as_json

if TYPE_CHECKING:
    from router.config import Config


def store(
    what: Annotated[Literal["delete", "backup"], typer.Argument(help="What to do.")],
    tenant: Annotated[str, typer.Option(help="delete: everything of this tenant up to now.")] = "",
    decision: Annotated[str, typer.Option(help="delete: this decision and what was reported about it.")] = "",
    to: Annotated[
        Path | None,
        typer.Option(help="backup: the new file; budgets, batches and switches go to another, FILE.budgets."),
    ] = None,
    at: Annotated[
        str,
        typer.Option("--store", help="The store: a file, or postgresql://… Default: the configuration's."),
    ] = "",
    config: Annotated[Path, typer.Option("--config", "-c", help="The configuration.")] = Path("router.toml"),
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead.")] = False,
) -> None:
    """Delete a tenant's or a decision's rows, or back up SQLite files; the service may go on.

    Exports forget what was deleted with their next run. Rows that a service has not yet committed are not found. A
    tenant's batches lie with the budgets, which the configuration names: with --store they stay, and are not copied.
    """
    from router.configuration.file import load
    from router.decisions.erase import erase_decision, erase_tenant

    address = at or address_of(load(config), config.parent)
    if what == "backup":
        if to is None:
            raise CommandFailed("where to? say --to FILE")
        if "://" in address:
            raise CommandFailed(f"{address}: back up a PostgreSQL server with pg_dump")
        sizes = _back_up(Path(address), to, None if at else load(config), config.parent)
        for file, size in sizes.items():
            if not json:
                typer.echo(f"{file}: {size} bytes")
        if json:
            typer.echo(as_json({"bytes": sizes[str(to)], "files": sizes}))
        return
    if bool(tenant) == bool(decision):
        raise CommandFailed("delete what? say --tenant NAME or --decision ID")
    now = time.time()
    gone = erase_tenant(address, tenant, now) if tenant else erase_decision(address, decision, now)
    if tenant and not at:
        gone = replace(gone, batches=_forget_batches(load(config), config.parent, tenant))
    batches = f" and {gone.batches} batches" if gone.batches else ""
    typer.echo(
        as_json(gone) if json else f"deleted {gone.decisions} decisions and {gone.outcomes} outcomes{batches}"
    )


def _back_up(store: Path, to: Path, config: Config | None, base: Path) -> dict[str, int]:
    """File -> bytes. Budgets before the decisions: what is spent in between has rows, and not the other way round."""
    from router.configuration.budgets import ledger_address
    from router.connections.store_address import is_postgres
    from router.decisions.back_up import back_up, copy_file

    sizes: dict[str, int] = {}
    copy = to.with_name(f"{to.name}.budgets")
    address = "" if config is None else ledger_address(config)
    if to.exists():
        raise CommandFailed(f"{to}: is there already")
    if address and not is_postgres(address) and (base / address).is_file():
        sizes[str(copy)] = copy_file(base / address, copy)
    try:
        return {str(to): back_up(store, to), **sizes}
    except BaseException:
        if sizes:
            copy.unlink()
        raise


def _forget_batches(config: Config, base: Path, tenant: str) -> int:
    """How many there were; none where there is no such database yet."""
    from router.batches.kept import open_batches
    from router.configuration.budgets import ledger_address
    from router.connections.store_address import is_postgres
    from router.ledger.databases import IN_MEMORY

    address = ledger_address(config)
    if address == IN_MEMORY or not (is_postgres(address) or (base / address).is_file()):
        return 0
    kept = open_batches(address, base, time.time)
    try:
        return kept.forget(tenant)
    finally:
        kept.close()


def address_of(config: Config, base: Path) -> str:
    """Where a configuration keeps its decisions. Raises `CommandFailed` where nowhere."""
    if config.store.postgres:
        return config.store.postgres
    if config.store.sqlite == ":memory:":
        raise CommandFailed("the configuration keeps its decisions in memory only")
    return str(base / config.store.sqlite)
