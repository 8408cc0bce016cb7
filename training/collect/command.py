"""`apportion collect`: ask OpenAI-compatible servers a file of queries and keep every answer as a recording.

The journal in `--out` is what has been drawn; the same command goes on where it was stopped, in whatever way. More
queries, samples or backends may be asked for later: seeds depend on query, backend and index alone.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from router.commands.tables import money
from router.recordings.cost import SNAPSHOT_TOKENS
from training.check_points import CheckPoints
from training.collect.backend import FORM, parse_backend, with_model
from training.collect.finish import finish
from training.collect.items import Item, missing
from training.collect.journal import Journal, text_mark
from training.collect.queries import CollectedQuery, read_queries, unread
from training.collect.run import Drawing, Progress, collect
from training.errors import TrainingError
from training.openai_samples import Server
from training.prompts import elicitation_of


def check_run(out: Path, servers: Sequence[Server], seed: int) -> None:
    """Keep what shapes the samples in `run.json`; refuse to go on with other settings."""
    path = out / "run.json"
    before: dict[str, Any] = {"seed": seed, "backends": {}}
    if path.is_file():
        before = json.loads(path.read_text("utf-8"))
    if before["seed"] != seed:
        raise TrainingError(
            f"{path}: this collection has seed {before['seed']}, not {seed}; choose another --out"
        )
    for server in servers:
        now = server.params() | {"template": asdict(server.prompt), "top_logprobs": server.top_logprobs}
        if server.check_points:
            now |= {"snapshots": str(server.check_points), "elicitation": elicitation_of(server.prompt)}
        known = before["backends"].get(server.name, {})
        if known and str(server.check_points) != (looked := known.get("snapshots", "")):
            raise TrainingError(
                f"{path}: backend {server.name!r} was collected with snapshots = {looked!r}, "
                f"not {str(server.check_points)!r}; name it differently or choose another --out"
            )
        for key, value in known.items():
            if key in now and now[key] != value:
                raise TrainingError(
                    f"{path}: backend {server.name!r} was collected with {key} = {value!r}, not {now[key]!r}; "
                    "name it differently or choose another --out"
                )
        prices = {"price_in": server.price_in, "price_out": server.price_out}
        before["backends"][server.name] = now | prices
    out.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(before, indent=1, ensure_ascii=False) + "\n", "utf-8")
    draft.replace(path)


def check_texts(queries: Sequence[CollectedQuery], journal: Journal) -> None:
    """Refuse a query file in which an id stands for another text than in the journal."""
    for query in queries:
        if journal.marks.get(query.query_id, text_mark(query.query)) != text_mark(query.query):
            raise TrainingError(
                f"{journal.path}: query {query.query_id!r} was collected with another text; choose another --out"
            )


def check_all_asked(queries: Sequence[CollectedQuery], journal: Journal, path: Path) -> None:
    """Refuse, before anything is drawn, a query file that lacks queries of the journal: no recording could be made."""
    gone = sorted(journal.marks.keys() - {query.query_id for query in queries})
    if gone:
        raise TrainingError(
            f"{journal.path}: {len(gone)} of its queries are not in {path}, the first is {gone[0]!r}; "
            "for other queries choose another --out"
        )


def worst_case(work: Sequence[Sequence[Item]]) -> tuple[int, float]:
    """Most output tokens and dollars that the missing samples and their snapshots can use.

    Input as characters / 4 + 64; a snapshot reads the sample so far as well, at the price of input that is not cached.
    """
    tokens, dollars = 0, 0.0
    for items in work:
        for item in items:
            server, prompt = item.server, len(item.query.query) / 4 + 64
            looked = server.check_points.before(server.max_tokens)[-item.looks :] if item.looks else ()
            tokens_in = prompt * item.requests + sum(looked)
            tokens_out = SNAPSHOT_TOKENS * item.looks + (0 if item.drawn else server.max_tokens)
            tokens += tokens_out
            dollars += (tokens_in * server.price_in + tokens_out * server.price_out) / 1e6
    return tokens, dollars


def collect_command(
    backend: Annotated[
        list[str], typer.Option(help=f"{FORM}; may be repeated; snapshots=N+N+… at chosen tokens")
    ],
    queries: Annotated[
        Path, typer.Option(help="jsonl, csv or parquet: query, and query_id, task, gold if known")
    ],
    out: Annotated[Path, typer.Option(help="folder of the journal and of the recording")],
    samples: Annotated[int, typer.Option(min=1, help="samples per query and backend")] = 4,
    limit: Annotated[int, typer.Option(min=0, help="only the first so many queries; 0: all")] = 0,
    seed: int = 0,
    max_tokens: Annotated[int, typer.Option(min=1, help="output tokens per sample")] = 256,
    temperature: Annotated[float, typer.Option(min=0.0, max=2.0)] = 0.7,
    top_logprobs: Annotated[int, typer.Option(min=0, max=20, help="alternatives of a token; 0: none")] = 10,
    snapshots: Annotated[
        str,
        typer.Option(
            metavar="N|N,N,…",
            help="Ask for the answers of growing samples (vLLM): after every N tokens, or after N, N, … tokens; "
            "0 in a list: before the first.",
        ),
    ] = "",
    hidden: Annotated[
        str,
        typer.Option(
            metavar="FOLDER",
            help="Record hidden states: where the servers' connector leaves them; or hidden=FOLDER of a backend",
        ),
    ] = "",
    concurrency: Annotated[int, typer.Option(min=1, help="requests in flight per backend")] = 16,
    rate: Annotated[float, typer.Option(min=0.0, help="requests per second and backend; 0: no limit")] = 0.0,
    retries: Annotated[int, typer.Option(min=0, help="of one sample")] = 8,
    max_dollars: Annotated[float, typer.Option(min=0.0, help="refuse to start above this worst case")] = 0.0,
    estimate: Annotated[bool, typer.Option("--estimate", help="say what is missing and stop")] = False,
    no_finish: Annotated[bool, typer.Option("--no-finish", help="leave it at the journal")] = False,
    name: Annotated[str, typer.Option(help="of the recording; default: the folder's")] = "",
    licence: str = "",
    source: str = "",
    note: str = "",
) -> None:
    """Draw samples of every backend for every query; go on where an earlier run was stopped."""
    defaults = Server(
        "",
        "",
        "",
        max_tokens=max_tokens,
        temperature=temperature,
        top_logprobs=top_logprobs,
        check_points=CheckPoints.parse(snapshots),
        hidden=hidden,
    )
    asked = _asked(queries)
    chosen = asked[:limit] if limit else asked
    parsed = [parse_backend(text, defaults) for text in backend]
    servers = [asyncio.run(with_model(server)) for server, _ in parsed]
    if len({server.name for server in servers}) < len(servers):
        raise TrainingError("--backend: two have the same name")
    drawing = Drawing(samples, seed, concurrency, rate, retries)
    with Journal(out) as journal:
        check_run(out, servers, seed)
        check_texts(asked, journal)
        if not no_finish:
            check_all_asked(asked, journal, queries)
        work = [
            list(missing(chosen, server, own or samples, journal))
            for server, (_, own) in zip(servers, parsed, strict=True)
        ]
        tokens, dollars = worst_case(work)
        for server, items in zip(servers, work, strict=True):
            print(f"{server.name}: {to_draw(items)} of {server.model}", file=sys.stderr)
        print(f"at most {tokens} output tokens{_costs(servers, dollars)}", file=sys.stderr)
        if max_dollars and dollars > max_dollars:
            raise TrainingError(
                f"the worst case of {money(dollars * 1e6)} is above --max-dollars {max_dollars:g}"
            )
        if estimate:
            return
        progress = asyncio.run(_with_bar(work, journal, drawing))
    looked = f", {progress.looked} snapshots" if progress.looked else ""
    said = f"{progress.drawn} drawn{looked}, {progress.retried} retried, {progress.refused} refused"
    print(f"{said}; {progress.tokens_out} output tokens{_costs(servers, progress.dollars)}", file=sys.stderr)
    if progress.misspelt:
        why = "no log-probabilities came, or their tokens do not spell the text"
        print(f"{progress.misspelt} samples have no snapshots: {why}", file=sys.stderr)
    if progress.stateless:
        print(f"{progress.stateless} samples came without hidden states", file=sys.stderr)
    if not no_finish and (journal.done or not progress.refused):
        meta = finish(out, asked, name=name or out.resolve().name, licence=licence, source=source, note=note)
        print(f"{out}: recording {meta.name!r} written", file=sys.stderr)
    if progress.refused:
        raise TrainingError(f"{progress.refused} samples were refused; the last: {progress.last_refusal}")


def _costs(servers: Sequence[Server], dollars: float) -> str:
    """What it costs, and whose prices that does not know.

    >>> _costs([], 0.0125)
    ' and $0.0125'
    """
    free = [server.name for server in servers if not server.price_in and not server.price_out]
    if not free:
        return f" and {money(dollars * 1e6)}"
    told = f"no prices of {', '.join(free)} were given (price_in=…,price_out=… behind the url)"
    return f"; {told}" if len(free) == len(servers) else f" and {money(dollars * 1e6)}; {told}"


def to_draw(items: Sequence[Item]) -> str:
    """How much is missing of one backend, in words."""
    looks = sum(item.looks for item in items)
    many = sum(not item.drawn for item in items)
    return f"{many} samples to draw" + (f" and at most {looks} snapshots" if looks else "")


def _asked(queries: Path) -> list[CollectedQuery]:
    asked = read_queries(queries)
    if said := unread(asked):
        print(f"{queries}: {said}", file=sys.stderr)
    return asked


async def _with_bar(work: Sequence[Sequence[Item]], journal: Journal, drawing: Drawing) -> Progress:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bar

    columns = (TextColumn("collect"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[said]}"))
    with Bar(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        requests = sum(item.requests for items in work for item in items)
        task = bar.add_task("collect", total=requests, said="")

        def shown(progress: Progress) -> None:
            paid = f"${progress.dollars:.4f}, " if progress.dollars else ""
            said = f"{paid}{progress.tokens_out} tokens, {progress.retried} retried"
            done = progress.drawn + progress.looked
            bar.update(task, completed=done, total=requests - progress.spared, said=said)

        return await collect(work, journal, drawing, shown)
