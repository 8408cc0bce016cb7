"""`apportion ask` and `apportion outcome`: one query through the real client, and what became of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from router.command_group import CommandFailed
from router.commands.amounts import micros
from router.commands.connection import ADMIN, ROUTER, asking, doubt_about
from router.commands.tables import as_json

if TYPE_CHECKING:
    from router.client import Ask, Reply, StreamEvent

Server = Annotated[
    str, typer.Option("--server", "-s", envvar="APPORTION_SERVER", help="HOST:PORT of the Router service.")
]
# what people write for a truth value: kept as the label that it is, but said
TRUTHS = dict.fromkeys(("true", "yes", "y", "t", "on", "ok", "correct", "right"), "true") | dict.fromkeys(
    ("false", "no", "n", "f", "off", "incorrect", "wrong"), "false"
)
JSON = Annotated[bool, typer.Option("--json", help="Print JSON instead.")]


def ask(
    prompt: Annotated[
        str, typer.Argument(help="The query; - reads it from standard input.", show_default=False)
    ],
    server: Server = ROUTER,
    plan: Annotated[str, typer.Option(help="Serve exactly this plan. Default: the service decides.")] = "",
    max_dollars: Annotated[
        float | None, typer.Option(min=0.0, help="The worst case may not cost more. Default: no limit.")
    ] = None,
    task: Annotated[str, typer.Option(help="What kind of query it is, e.g. math. Default: unknown.")] = "",
    session: Annotated[str, typer.Option(help="Queries of one session get one draw.")] = "",
    tenant: Annotated[str, typer.Option(help="On whose behalf, while authentication is off.")] = "",
    timeout: Annotated[float, typer.Option(min=0.001, help="Seconds for everything.")] = 120.0,
    metadata: Annotated[
        list[str] | None, typer.Option(help="KEY=VALUE for the log; may be repeated.")
    ] = None,
    stream: Annotated[bool, typer.Option("--stream", help="Show the answer as it is committed.")] = False,
    json: JSON = False,
) -> None:
    """Ask a running service, and show the answer and what was decided about it.

    The answer goes to standard output, the decision to standard error; with --json both are one JSON object
    (with --stream: one event per line).
    """
    from router.client import Constraints

    text = sys.stdin.read() if prompt == "-" else prompt
    most = None if max_dollars is None else micros("--max-dollars", max_dollars)
    limits = Constraints(plan=plan, max_cost_micros=most)
    asked: Ask = {
        "constraints": limits,
        "task_hint": task,
        "session_id": session,
        "tenant": tenant,
        "metadata": dict(_pair(item) for item in metadata or []),
        "return_samples": True,
        "return_probabilities": True,
    }
    with asking(server, timeout) as client:
        if stream:
            reply = _shown(client.stream(text, **asked), json=json)
        else:
            reply = client.generate(text, **asked)
            typer.echo(as_json(reply) if json else reply.text)
    if not json:
        from router.commands.decision_text import reply_text

        typer.echo(reply_text(reply), err=True)


def outcome(
    decision_id: Annotated[str, typer.Argument(help="Of which decision.", show_default=False)],
    metric: Annotated[
        str, typer.Argument(help="What is reported, e.g. correct, thumbs, resolved.", show_default=False)
    ],
    value: Annotated[
        str, typer.Argument(help="true, false, a number, or a text (a label).", show_default=False)
    ],
    kind: Annotated[
        Literal["number", "bool", "label", "comment", "demonstration"] | None,
        typer.Option(help="What the value is. Default: as it looks."),
    ] = None,
    source: Annotated[str, typer.Option(help="Who says so: user, grader, …")] = "",
    weight: Annotated[float | None, typer.Option(min=0.0, max=1000.0, help="Default: 1.")] = None,
    supersedes: Annotated[str, typer.Option(help="The key of an earlier report that this corrects.")] = "",
    tenant: Annotated[str, typer.Option(help="Whose decision, while authentication is off.")] = "",
    server: Server = ROUTER,
    admin: Annotated[
        str,
        typer.Option(
            envvar="APPORTION_ADMIN", help="HOST:PORT of the Admin service, asked for the decision."
        ),
    ] = ADMIN,
    json: JSON = False,
) -> None:
    """Report how a decision turned out; it is committed when this returns, also before its decision is.

    Where the Admin service can be asked (another server's only by --admin), a decision that is not known, or is another
    tenant's, is told.

    apportion outcome 0192f0… correct true --source grader
    """
    read = _value(value, kind)
    with asking(server, timeout_s=30.0) as client:
        said = client.report(
            decision_id,
            metric,
            read,
            kind=kind or "",
            source=source,
            weight=weight,
            supersedes=supersedes,
            tenant=tenant,
        )
    if json:
        typer.echo(as_json(said))
        return
    typer.echo(f"{'known already' if said.duplicate else 'committed'}, key {said.key}")
    if said.duplicate:
        typer.echo(f"what was reported first stays; `--supersedes {said.key}` corrects it", err=True)
    beside = admin != ADMIN or server == ROUTER  # else it may be another service's
    if beside and (doubt := doubt_about(admin, decision_id, tenant, said)):
        typer.echo(f"but {doubt}", err=True)
    if kind is None and isinstance(read, str) and (meant := TRUTHS.get(read.strip().lower())):
        again = f"`--supersedes {said.key}` with {meant} corrects it, `--kind label` says that it is meant"
        typer.echo(f"{read!r} is kept as a label; did you mean {meant}? {again}", err=True)


def _shown(events: Iterator[StreamEvent], *, json: bool) -> Reply:
    """Print the answer as it comes; the reply at the end."""
    from router.clients.values import AnswerDelta, Done

    reply: Reply | None = None
    for event in events:
        if isinstance(event, Done):
            reply = event.reply
        if json:
            typer.echo(as_json({"event": type(event).__name__, **_fields(event)}))
        elif isinstance(event, AnswerDelta) and event.answer == 0:
            typer.echo(event.text, nl=False)
            sys.stdout.flush()
    if not json:
        typer.echo()
    if reply is None:
        raise CommandFailed("the stream ended without a reply")
    return reply


def _fields(event: StreamEvent) -> dict[str, object]:
    import msgspec

    found: dict[str, object] = msgspec.to_builtins(event)
    return found


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise CommandFailed(f"--metadata: wants KEY=VALUE, got {text!r}")
    return key, value


def _value(text: str, kind: str | None) -> bool | float | str:
    """The value as its kind, or as it looks: true and false, a number, else a text."""
    if kind in {None, "bool"} and text in {"true", "false"}:
        return text == "true"
    if kind == "bool":
        raise CommandFailed(f"VALUE: wants true or false, got {text!r}")
    if kind in {None, "number"}:
        try:
            return float(text)
        except ValueError:
            if kind == "number":
                raise CommandFailed(f"VALUE: wants a number, got {text!r}") from None
    return text
