"""`apportion demo`: fit, serve, ask, score and compare on recorded answers of real models; no GPU, a few minutes.

The recording is split by text, five times. On the first split a bundle is fitted on one half, the real server is
started over recorded backends that know no rewards, and the other half is sent to it through the real client, at three
prices; outcomes are reported back. The other splits are replayed by the same allocator. Rewards of the held-out
halves are read by one process only, which scores what the others decided.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from training.demonstration import walk
from training.demonstration.kind_words import without_kind_words
from training.demonstration.plot import draw
from training.demonstration.prepare import Split, blind_copy, prepare
from training.demonstration.score import Result
from training.demonstration.table import print_tables, summary
from training.errors import TrainingError

HOUSE = Path(__file__).parent / "recordings" / "house"
WEIGHTS = (1.0, 2.0, 4.0)  # of cost against quality; 1: small and large are equally good on average
SPLITS, SPLITS_QUICK = 5, 2
WORKERS = 2  # splits that are worked on at once


def demo(
    recording: Annotated[
        Path, typer.Option(help="Folder of a recording; default: the project's own.")
    ] = HOUSE,
    out: Annotated[
        Path, typer.Option(help="Folder for the picture, the figures and what can be served on.")
    ] = Path("demo-out"),
    seed: Annotated[int, typer.Option(help="Of the first split.")] = 0,
    quick: Annotated[bool, typer.Option("--quick", help="Two splits instead of five.")] = False,
    without_kinds: Annotated[
        bool, typer.Option("--without-kind-words", help="Remove the words that queries of a kind share.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of tables.")] = False,
) -> None:
    """Fit, serve, ask and compare on recorded answers of real models: no GPU, a few minutes."""
    if not (recording / "meta.json").is_file():
        raise TrainingError(f"demo: there is no recording in {recording}; make one with `make recording`")
    console = Console(stderr=as_json, width=None if sys.stdout.isatty() else 110)
    began = time.monotonic()
    labels = [walk.label(weight) for weight in WEIGHTS]
    with tempfile.TemporaryDirectory(prefix="apportion-demo-") as folder:
        work = Path(folder)
        if without_kinds:
            without_kind_words(recording, work / "unnamed" / recording.resolve().name)
            recording = work / "unnamed" / recording.resolve().name
        served, results, first = _work(recording, work, seed, SPLITS_QUICK if quick else SPLITS, console)
        keep(first, work / recording.resolve().name, out)
    found = summary(results, labels) | {
        "recording": recording.resolve().name,
        "without_kind_words": without_kinds,
        "served": {"queries": served.queries, "failed": served.failed, "outcomes_reported": served.reported},
        "served_as_replayed": served.same_as_replay,
        "seconds": round(time.monotonic() - began, 1),
    }
    (out / "demo.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    draw(results, labels, out / "demo.png")
    if as_json:
        print(json.dumps(found))
        return
    print_tables(results, labels, console)
    console.print(
        "×1 is the price of a dollar at which small and large are equally good on average.", style="dim"
    )
    console.print(
        f"Served: {served.queries} queries, {served.failed} without an answer; {served.reported} outcomes reported.\n"
        f"Replayed: {served.same_as_replay} of these decisions are the same. {found['seconds']:.0f} s in all."
    )
    console.print(f"Picture: {out / 'demo.png'}   Figures: {out / 'demo.json'}", highlight=False)
    console.print(NEXT.format(out=out, query=_example(first, out)), highlight=False, markup=False)


NEXT = """
How to go on:
  apportion serve --config {out}/router.toml            the same server, over the recorded answers
  apportion ask "{query}"    a query of the recording, in another terminal
  apportion replay --recording {out}/recording --config {out}/router.toml --price 0
  make bench RECORDING=training/recordings/house        every way to route, with intervals
Your own models: collect → grade → fit → serve, five steps in README.md."""


def _work(
    source: Path, work: Path, seed: int, count: int, console: Console
) -> tuple[walk.Served, list[Result], Split]:
    """All splits, two at a time; the first is served."""
    blind = work / source.resolve().name  # decisions go by the name of the folder
    blind_copy(source, blind)
    splits = [prepare(source, blind, work / f"split-{number}", seed + number) for number in range(count)]
    first = splits[0]
    asked = len(first.test_ids) * len(WEIGHTS)
    with _bars(console) as bars, ThreadPoolExecutor(WORKERS) as pool:
        steps = bars.add_task(f"fit {count} bundles, replay and score", total=3 * count)
        queries = bars.add_task("queries answered by the server", total=asked)

        def advance() -> None:
            bars.advance(steps)

        def serve() -> tuple[walk.Served, Result]:
            walk.fit(first)
            advance()
            found = walk.served(first, source, blind, WEIGHTS, lambda: bars.advance(queries))
            bars.advance(steps, 2)
            return found

        def replay(split: Split) -> Result:
            walk.fit(split)
            advance()
            decisions = walk.replayed(split, blind, WEIGHTS)
            advance()
            result = walk.scored(split, source, WEIGHTS, decisions)
            advance()
            return result

        serving = pool.submit(serve)
        others = [pool.submit(replay, split) for split in splits[1:]]
        served, result = serving.result()
        return served, [result, *(other.result() for other in others)], first


@contextmanager
def _bars(console: Console) -> Iterator[Progress]:
    shown = Console(stderr=True)
    columns = (TextColumn("{task.description:36}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=shown, disable=not shown.is_terminal) as bars:
        if not shown.is_terminal:
            console.print("demo: fitting, serving, replaying; a few minutes", style="dim")
        yield bars


def keep(split: Split, blind: Path, out: Path) -> None:
    """What the first split was served from, so that it can be served again: recording, bundle, router.toml."""
    out.mkdir(parents=True, exist_ok=True)
    for source, name in ((blind, "recording"), (split.bundle, "bundle")):
        shutil.rmtree(out / name, ignore_errors=True)
        shutil.copytree(source, out / name)
    text = split.config.read_text("utf-8").replace(json.dumps(str(blind.resolve())), '"recording"')
    (out / "router.toml").write_text(text, "utf-8")


def _example(split: Split, out: Path) -> str:
    from router.recording import Recording

    recording = Recording.load(out / "recording")
    texts = [recording.queries[recording.index_of(query_id)].query for query_id in split.test_ids]
    plain = [text for text in texts if '"' not in text and "\n" not in text and "$" not in text]
    return min(plain or texts, key=len)
