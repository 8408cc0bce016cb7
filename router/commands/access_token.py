"""`apportion token`: a new token for a tenant; the file of tokens gets its hash."""

from __future__ import annotations

from typing import Annotated, Literal

import typer


def token(
    tenant: Annotated[str, typer.Argument(help="Whose queries, budgets and reports it is for.")],
    role: Annotated[
        Literal["caller", "operator"], typer.Option(help="operator: may call Admin, for all tenants.")
    ] = "caller",
    until: Annotated[str, typer.Option(help="Its end, UTC: 2027-01-31. Default: none.")] = "",
) -> None:
    """Make a token: it is printed once, on standard error; its entry for the file of [auth] tokens on standard output.

    apportion token search >> tokens.toml
    """
    from router.auth.tokens import entry_text, hash_of, new_token

    made = new_token()
    typer.echo(entry_text(hash_of(made), tenant, role, until), nl=False)
    typer.echo(f"the token of {tenant!r}, shown this once: {made}", err=True)
