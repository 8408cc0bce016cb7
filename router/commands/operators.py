"""What operators look at and set: `apportion status`, `plans`, `backends`, `decisions`, `mode`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from router.command_group import CommandFailed
from router.commands.connection import ADMIN, ask_admin
from router.commands.tables import as_json, moment, money, short, table
from router.domain.usage import units
from router.durations import span

if TYPE_CHECKING:
    from router.clients.admin import AdminClient
    from router.clients.admin_types import LoggedDecision, ServerStatus
    from router.clients.budget import AccountBalance
    from router.clients.values import PlanInfo
    from router.switches.modes import ModeRule

Server = Annotated[
    str, typer.Option("--server", "-s", envvar="APPORTION_ADMIN", help="HOST:PORT of the Admin service.")
]
STATUS_WAIT_S, STATUS_S = 3.0, 5.0  # who asks for it wants to know whether the service is there
MOST_ACCOUNTS = 20  # in `status`; a tenant may have one each, and `apportion budget` shows all
JSON = Annotated[bool, typer.Option("--json", help="Print JSON instead.")]


def status(server: Server = ADMIN, json: JSON = False) -> None:
    """Say how a running service is: mode, policy, budget, rows, what is degraded.

    Where nothing listens it says so after 3 s, unless --wait says otherwise.
    """
    found, accounts = ask_admin(server, _status, wait_s=STATUS_WAIT_S, timeout_s=STATUS_S)
    if json:
        typer.echo(as_json(found))
        return
    limit = found.budget_limit_micros
    budget = (
        ("no limit of all" if accounts else "no limit")
        if limit is None
        else f"limit {money(limit)} per {span(found.budget_window_s)}"
    )
    spent, reserved = money(found.budget_spent_micros), money(found.budget_reserved_micros)
    rows = [
        ("service", f"{found.version}, replica {found.replica}, since {moment(found.started_at)} UTC"),
        *_mode(found),
        ("policy", f"{found.policy}, bundle {found.bundle or '(none)'}, price {found.price:g} per dollar"),
        ("queries", f"{found.in_flight} in flight, {found.decisions} decided since the start"),
        ("budget", f"{spent} spent, {reserved} reserved, {budget}"),
        *_limits(accounts),
        ("rows", f"{found.queued_rows} queued, {found.spooled_rows} spooled, {found.lost_rows} lost"),
        ("outcomes", str(found.outcomes)),
        ("degraded", "; ".join(found.degraded) or "nothing"),
    ]
    typer.echo(table(rows))


# what is done to a backend, and how it is then
_STATES = {"enable": "enabled", "drain": "draining", "disable": "disabled"}


def plans(server: Server = ADMIN, json: JSON = False) -> None:
    """List the plans of a running service."""
    found = ask_admin(server, lambda admin: admin.plans())
    if json:
        typer.echo(as_json(found))
        return
    rows: list[tuple[str, ...]] = [("PLAN", "COMMITS", "DIGEST", "STAGES")]
    rows += [_plan(plan) for plan in found]
    typer.echo(table(rows))


def backends(
    name: Annotated[str, typer.Argument(help="Set the state of this one.", show_default=False)] = "",
    to: Annotated[
        Literal["enable", "drain", "disable"] | None,
        typer.Argument(
            help="drain: running calls end, no new ones; disable: running calls are cut, too.",
            show_default=False,
        ),
    ] = None,
    server: Server = ADMIN,
    json: JSON = False,
) -> None:
    """List the backends of a running service, with prices in $ per 1M tokens; or take one out of service and back.

    `apportion backends small drain` holds for all replicas, also after a restart, until somebody says `enable`.
    """
    from router.domain.backend_state import BackendState

    if name:
        if to is None:
            raise CommandFailed(f"what shall become of backend {name!r}? say enable, drain or disable")
        one = ask_admin(server, lambda admin: admin.set_backend_state(name, BackendState(to)))
        told = f"backend {name}: {_STATES[to]}, {one.in_flight} samples in flight"
        typer.echo(as_json(one) if json else told)
        return
    found = ask_admin(server, lambda admin: admin.backends())
    if json:
        typer.echo(as_json(found))
        return
    rows: list[tuple[str, ...]] = [("BACKEND", "KIND", "IN / CACHED / OUT", "STATE", "IN FLIGHT", "MODEL")]
    for backend in found:
        prices = f"{backend.price_in:g} / {backend.price_cached_in:g} / {backend.price_out:g}"
        where = " at ".join(filter(None, (backend.model, ", ".join(backend.urls))))
        running = str(backend.in_flight)
        rows.append((backend.name, backend.kind, prices, _STATES[backend.state.value], running, where))
    typer.echo(table(rows))
    for backend in found:
        if backend.trouble:
            named = backend.trouble.startswith("backend ")
            typer.echo(backend.trouble if named else f"backend {backend.name!r}: {backend.trouble}")


def decisions(
    decision_id: Annotated[
        str, typer.Argument(help="Show this one in full, with its outcomes.", show_default=False)
    ] = "",
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="How many, newest first.")] = 20,
    tenant: Annotated[str, typer.Option(help="Only those of this tenant. Default: all.")] = "",
    server: Server = ADMIN,
    json: JSON = False,
) -> None:
    """List the latest decisions, or show one: plan, probabilities, samples, cost, outcomes.

    With --json: one JSON object per line.
    """
    if decision_id:
        from router.commands.decision_text import logged_text

        one = ask_admin(server, lambda admin: admin.decision(decision_id))
        typer.echo(as_json(one) if json else logged_text(one))
        return
    found = ask_admin(server, lambda admin: _latest(admin, tenant, count))
    if json:
        for row in found:
            typer.echo(as_json(row))
        return
    rows: list[tuple[str, ...]] = [
        ("DECISION", "AT (UTC)", "STATUS", "PLAN", "P", "SAMPLES", "COST", "ANSWER")
    ]
    rows += [_decision(row) for row in found]
    typer.echo(table(rows) if found else "no decisions yet")


def mode(
    to: Annotated[
        Literal["bypass", "observe", "apply"] | None,
        typer.Argument(
            help="bypass: the reference plan; observe: the same, and log what apply would do; apply. "
            "Default: show what holds.",
            show_default=False,
        ),
    ] = None,
    tenant: Annotated[str, typer.Option(help="A rule only for this tenant. Default: all.")] = "",
    share: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=1.0,
            help="A rule only for this share of sessions (else requests); 0: the tenant's rules end.",
        ),
    ] = 1.0,
    server: Server = ADMIN,
) -> None:
    """Set how much a running service may decide; `apportion mode bypass` ends all cleverness at once.

    What was set holds in all replicas and over restarts until it is set again, or until the configuration's mode (or
    `serve --mode`) is another than when it was set. A mode for everybody ends all rules, also the configuration's
    [[modes]]; `apportion mode` lists them, `apportion mode apply --tenant search --share 0` ends those of one tenant.
    """
    from router.domain.decision import Mode
    from router.switches.modes import ModeRule

    if to is None:
        typer.echo(table(_mode(ask_admin(server, lambda admin: admin.status()))))
        return
    chosen = Mode(to)
    previous = ask_admin(server, lambda admin: admin.set_mode(chosen, tenant, share))
    if not share:
        typer.echo(f"{f'tenant {tenant}' if tenant else 'all tenants'}: no rule now, was {previous.value}")
    elif tenant or share < 1:
        typer.echo(f"{_rule(ModeRule(chosen, tenant, share))}, was {previous.value}")
    else:
        typer.echo(f"mode {to}, was {previous.value}")


async def _status(admin: AdminClient) -> tuple[ServerStatus, list[AccountBalance]]:
    """With the accounts that limit somebody, besides the one of everything, which the status has."""
    found, everything = await admin.status(), await admin.budget()
    others = [name for name in everything.accounts if name != everything.balance.account]
    balances = [(await admin.budget(name)).balance for name in others[:MOST_ACCOUNTS]]
    return found, [balance for balance in balances if balance.limit is not None]


def _limits(accounts: list[AccountBalance]) -> list[tuple[str, str]]:
    return [
        (
            f"  {one.account}",
            f"{units(one.spent)} of {units(one.limit or 0)} {one.unit} spent per {span(one.window_s)}",
        )
        for one in accounts
    ]


def _mode(found: ServerStatus) -> list[tuple[str, str]]:
    """The mode, who set it, and the rules that come before it."""
    text = found.mode.value + (", draining" if found.draining else "")
    if found.configured_mode not in (None, found.mode):
        at = "" if found.mode_set_at is None else f" at {moment(found.mode_set_at)} UTC"
        configured = found.configured_mode.value
        text += (
            f" (set by an operator{at}, overrides the configured {configured}; "
            f"`apportion mode {configured}` ends it)"
        )
    return [("mode", text), *(("  rule", _rule(rule)) for rule in found.mode_rules)]


def _rule(rule: ModeRule) -> str:
    """A rule in words.

    >>> from router.domain.decision import Mode
    >>> from router.switches.modes import ModeRule
    >>> print(_rule(ModeRule(Mode.OBSERVE, "search", 0.05)))
    tenant search, 5 % of sessions: observe
    """
    whom = f"tenant {rule.tenant}" if rule.tenant else "all tenants"
    return f"{whom}, {rule.share * 100:g} % of sessions: {rule.mode.value}"


async def _latest(admin: AdminClient, tenant: str, count: int) -> list[LoggedDecision]:
    found: list[LoggedDecision] = []
    async for row in admin.decisions(tenant, page_size=min(count, 100)):
        found.append(row)
        if len(found) == count:
            break
    return found


def _plan(plan: PlanInfo) -> tuple[str, ...]:
    stages = []
    for stage in plan.stages:
        several = f" x{stage.max_samples}" if stage.max_samples > 1 else ""
        stages.append(f"{stage.backend}{several} until {stage.stop}")
    name = f"{plan.name} (reference)" if plan.reference else plan.name
    return name, "first token" if plan.streams else "at end", plan.digest, " -> ".join(stages)


def _decision(row: LoggedDecision) -> tuple[str, ...]:
    return (
        row.decision_id,
        moment(row.created_at),
        row.status.value,
        row.decision.plan,
        f"{row.decision.propensity:.3g}",
        str(len(row.samples)),
        money(row.usage.cost_exact),
        short(row.answer),
    )
