"""`apportion allocate`: a file of queries under one budget, through the real client; killed, it goes on."""

from __future__ import annotations

import hashlib
import json as json_text
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from router.command_group import CommandFailed
from router.commands.amounts import micros
from router.commands.ask import Server
from router.commands.connection import ROUTER, asking
from router.commands.tables import money

if TYPE_CHECKING:
    from router.client import BatchQuery, BatchResult, BatchStatus, SyncClient

POLL_S = 0.5
KEYS = ("prompt", "query", "task", "tenant", "metadata")
BEGINS = b'{"position": '  # a line of results
OF_COLLECT = {"query_id", "gold"}  # a file for `apportion collect` may be used as it is: these are not sent


def allocate(
    queries: Annotated[
        Path,
        typer.Argument(
            help='A line of JSON per query: {"prompt": "…", "task": "…", "metadata": {…}}; a JSONL file for '
            'collect, which says "query", will do.'
        ),
    ],
    out: Annotated[Path, typer.Option(help="Results, a line of JSON each, as they come.")],
    dollars: Annotated[
        float | None, typer.Option(min=0.0, help="For all of them. Default: what the tenant has.")
    ] = None,
    batch: Annotated[
        str,
        typer.Option(help="The batch's id. Default: made from the file's text, so that it is found again."),
    ] = "",
    server: Server = ROUTER,
) -> None:
    """Answer a file of queries under one budget: money goes where the next cent gives most.

    A query gets a plan only where the plan's worst case fits what is left: with little money, a smaller `max_tokens`
    of the backends buys more.

    Killed, the batch goes on in the service; the same command takes up waiting for it, and writes what is missing.
    """
    asked = list(_read(queries))
    batch_id = batch or f"file-{hashlib.sha256(queries.read_bytes()).hexdigest()[:16]}"
    budget = None if dollars is None else micros("--dollars", dollars)
    known = _known(out, batch_id)
    with asking(server, timeout_s=60.0) as client:
        status = client.batches.create(asked, batch_id=batch_id, budget_micros=budget)
        if status.state == "done":
            typer.echo(
                f"batch {batch_id} was answered before; under another --batch it is asked anew", err=True
            )
        with out.open("a", encoding="utf-8") as file:
            status = _follow(client, status, file, known)
    typer.echo(f"{_summary(status)}; batch {batch_id}", err=True)
    if status.state == "budget_exhausted":
        raise CommandFailed("the budget is used up: the same command with more --dollars goes on")
    if status.state == "cancelled":
        raise CommandFailed("the batch was cancelled; under another --batch the queries are asked anew")
    if status.failed:
        raise CommandFailed(f"{status.failed} of {status.total} queries failed; {out} says why")


def _follow(client: SyncClient, status: BatchStatus, file: Any, known: set[int]) -> BatchStatus:
    """Write results as they come until the batch is over."""
    seen = 0
    with _bar(status.total) as show:
        while True:
            status = client.batches.get(status.batch_id)  # before its results: none comes after the last look
            for result in client.batches.results(status.batch_id, after=seen):
                seen += 1
                if result.position not in known:
                    known.add(result.position)
                    file.write(json_text.dumps(_told(result, status.batch_id), ensure_ascii=False) + "\n")
            file.flush()
            show(status.done + status.failed, _summary(status))
            if not status.running:
                return status
            time.sleep(POLL_S)


def _read(path: Path) -> Iterator[BatchQuery]:
    from router.client import Ask, BatchQuery

    try:
        # splitlines() would also split at U+2028 in a text
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise CommandFailed(f"{path}: is not UTF-8: byte 0x{error.object[error.start]:02x}") from error
    if not any(map(str.strip, lines)):
        raise CommandFailed(f"{path}: it has no queries")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            found = json_text.loads(line)
        except ValueError as error:
            raise CommandFailed(
                f"{path}:{number}: is not JSON, a line of which is wanted per query: {error}"
            ) from error
        texts = [found[key] for key in ("prompt", "query") if key in found] if isinstance(found, dict) else []
        if len(texts) != 1 or not isinstance(texts[0], str):
            raise CommandFailed(f'{path}:{number}: wants {{"prompt": "…"}} or {{"query": "…"}}')
        if unknown := set(found) - set(KEYS) - OF_COLLECT:
            raise CommandFailed(
                f"{path}:{number}: unknown key {min(unknown)!r}; choose from {', '.join(KEYS)}"
            )
        metadata = {str(key): str(value) for key, value in (found.get("metadata") or {}).items()}
        ask: Ask = {
            "task_hint": str(found.get("task") or ""),
            "tenant": str(found.get("tenant", "")),
            "metadata": metadata,
        }
        yield BatchQuery(texts[0], ask)


def _known(out: Path, batch_id: str) -> set[int]:
    """Positions that are written already; a line that a kill cut short is taken off.

    A file that holds anything but this batch's results is refused, and stays as it is.
    """
    if not out.exists():
        return set()
    *whole, torn = out.read_bytes().split(b"\n")
    known: set[int] = set()
    for number, line in enumerate(whole, 1):
        try:
            found = json_text.loads(line if line.startswith(BEGINS) else b"")
        except ValueError as error:
            raise CommandFailed(f"{out}:{number}: is no result of a batch; choose another --out") from error
        if found.get("batch", batch_id) != batch_id:
            raise CommandFailed(
                f"{out}:{number}: is of batch {found['batch']}, this is {batch_id}; choose another --out"
            )
        known.add(found["position"])
    if torn and not torn.startswith(BEGINS[: len(torn)]):
        raise CommandFailed(f"{out}: is no file of results; choose another --out")
    if torn:
        out.write_bytes(b"".join(line + b"\n" for line in whole))
    return known


def _told(result: BatchResult, batch_id: str) -> dict[str, Any]:
    place = {"position": result.position, "batch": batch_id}
    if result.reply is None:
        return {**place, "error": result.message, "code": result.code}
    reply = result.reply
    return {
        **place,
        "answer": reply.text,
        "confidence": reply.answers[0].confidence if reply.answers else None,
        "plan": reply.decision.plan,
        "dollars": reply.usage.dollars,
        "decision_id": reply.decision_id,
    }


def _summary(status: BatchStatus) -> str:
    of = "" if status.budget_micros is None else f" of {money(status.budget_micros)}"
    failed = f", {status.failed} failed" if status.failed else ""
    return f"{status.done} of {status.total} answered{failed}, {money(status.spent_micros)}{of} spent"


@contextmanager
def _bar(total: int) -> Iterator[Callable[[int, str], None]]:
    """A progress bar on a terminal's standard error; nothing where nobody watches."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=total)
        yield lambda done, text: progress.update(task, completed=done, description=text)
