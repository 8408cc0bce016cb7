"""`apportion bundles`: what was learned, what each of it is used for, and which of it shall decide."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from router.command_group import CommandFailed
from router.commands.connection import ADMIN, ask_admin
from router.commands.operators import JSON, Server
from router.commands.tables import as_json, moment, table

if TYPE_CHECKING:
    from router.clients.admin import AdminClient
    from router.clients.admin_types import BundleSeen


def bundles(
    what: Annotated[
        Literal["list", "promote", "rollback", "sign"],
        typer.Argument(
            help="promote: a bundle of the folder that `bundles` in router.toml names takes its next place; "
            "rollback: back to the one before; sign: vouch for a folder."
        ),
    ] = "list",
    version: Annotated[str, typer.Argument(help="Of the bundle; sign: its folder.", show_default=False)] = "",
    to: Annotated[
        Literal["shadow", "canary", "active"] | None,
        typer.Option(help="promote: to this place. Default: the next of candidate, shadow, canary, active."),
    ] = None,
    share: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="promote to canary: of traffic. Default: 0.05.")
    ] = None,
    signing_key: Annotated[
        Path | None, typer.Option(help="sign: PEM with the private Ed25519 key.", show_default=False)
    ] = None,
    server: Server = ADMIN,
    json: JSON = False,
) -> None:
    """List bundles, promote one, or roll back: in this replica at once, in the others within a second or two.

    `apportion bundles rollback` ends a canary or shadow; where there is none, the bundle that was active before is
    active again. Queries in flight end with the bundle that they began with.

    `apportion bundles sign FOLDER --signing-key KEY` asks no service: it writes a signature beside the card, which
    services with `bundle_signers` want.
    """
    if what == "list":
        found = ask_admin(server, _all)
        if json:
            typer.echo(as_json(found))
            return
        rows: list[tuple[str, ...]] = [("BUNDLE", "STATE", "TRAFFIC", "FITTED (UTC)", "NOTE")]
        typer.echo(table(rows + [_row(one) for one in found]) if found else "no bundles")
        return
    if what == "sign":
        if not version or signing_key is None:
            raise CommandFailed("say what and by whom: apportion bundles sign FOLDER --signing-key KEY")
        from router.rollout.signature import sign

        typer.echo(f"signed: {sign(Path(version), signing_key)}")
        return
    if what == "promote":
        if not version:
            raise CommandFailed("which bundle shall be promoted? see `apportion bundles`")
        from router.rollout.releases import BundleState

        state = None if to is None else BundleState(to)
        one = ask_admin(server, lambda admin: admin.promote_bundle(version, state, share))
    else:
        one = ask_admin(server, lambda admin: admin.rollback_bundle(version))
    typer.echo(as_json(one) if json else _said(one))


async def _all(admin: AdminClient) -> tuple[BundleSeen, ...]:
    return await admin.bundles()


def _said(one: BundleSeen) -> str:
    if not one.version:
        return "no bundle decides now: the configuration names none, plans are chosen untrained"
    whose = ", the configuration's" if one.note == "configured" else ""
    return f"bundle {one.version}: {one.state.value}{whose}, {one.share:.0%} of traffic"


def _row(one: BundleSeen) -> tuple[str, ...]:
    fitted = "" if one.created_at is None else moment(one.created_at)
    return one.version, one.state.value, f"{one.share:.0%}", fitted, one.note
