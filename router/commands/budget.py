"""`apportion budget`: where the accounts of a running service stand, and another limit for one of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

import typer

from router.command_group import CommandFailed
from router.commands.amounts import micros
from router.commands.connection import ADMIN, ask_admin
from router.commands.operators import JSON, Server
from router.commands.tables import as_json, table
from router.domain.usage import units
from router.durations import span

if TYPE_CHECKING:
    from router.clients.admin import AdminClient
    from router.clients.budget import AccountBalance


def budget(
    account: Annotated[str, typer.Argument(help="Only this account. Default: all.", show_default=False)] = "",
    to: Annotated[
        str,
        typer.Option(
            "--set", help="The account's new limit per window, in its unit (dollars, tokens, …), or none."
        ),
    ] = "",
    server: Server = ADMIN,
    json: JSON = False,
) -> None:
    """Show what is spent, reserved and left in the accounts of a running service, or set a limit.

    A limit holds in that replica at once and in others within seconds. Below what is in flight nothing new starts,
    and what runs may end. It outlives restarts until the configuration's own limit is changed.
    """
    if to:
        limit = _limit(to)
        ask_admin(server, lambda admin: admin.set_budget(limit, account))
    found = ask_admin(server, lambda admin: _balances(admin, account))
    if json:
        typer.echo(as_json(found))
        return
    rows = [("ACCOUNT", "UNIT", "LIMIT", "SPENT", "RESERVED", "LEASED", "LOST", "LEFT", "WINDOW", "VERSION")]
    typer.echo(table(rows + [_row(balance) for balance in found]))


async def _balances(admin: AdminClient, account: str) -> list[AccountBalance]:
    first = await admin.budget(account)
    if account:
        return [first.balance]
    return [(await admin.budget(name)).balance for name in first.accounts]


def _limit(text: str) -> int | None:
    if text == "none":
        return None
    try:
        units = float(text)
    except ValueError:
        units = math.nan
    if not 0 <= units <= 1e12:
        raise CommandFailed(f"--set: wants an amount from 0 to 1e12, or none, got {text!r}")
    return micros("--set", units)


def _row(balance: AccountBalance) -> tuple[str, ...]:
    limit = balance.limit
    left = "-" if limit is None else units(limit - balance.spent - balance.reserved)
    ends = "rolling" if balance.ends_in_s is None else f"ends in {span(round(balance.ends_in_s))}"
    return (
        balance.account,
        balance.unit,
        "none" if limit is None else units(limit),
        units(balance.spent),
        units(balance.reserved),
        units(balance.leased),
        units(balance.lost),
        left,
        f"{span(balance.window_s)}, {ends}",
        str(balance.version),
    )
