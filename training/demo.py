"""`apportion demo`: fit, serve, ask, score and compare on recorded answers of real models; no GPU.

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
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from training.demonstration import walk
from training.demonstration.kind_words import without_kind_words
from training.demonstration.plot import draw
from training.demonstration.prepare import Split, blind_copy, prepare
from training.demonstration.score import Result
from training.demonstration.steps import shown_steps
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
    """Fit, serve, ask and compare on recorded answers of real models: no GPU, three minutes on two idle cores."""
    if not (recording / "meta.json").is_file():
        raise TrainingError(f"demo: there is no recording in {recording}; make one with `make recording`")
    check_place(out)
    console = Console(stderr=as_json, width=None if sys.stdout.isatty() else 110)
    began = time.monotonic()
    labels = [walk.label(weight) for weight in WEIGHTS]
    with tempfile.TemporaryDirectory(prefix="apportion-demo-") as folder:
        work = Path(folder)
        if without_kinds:
            without_kind_words(recording, work / "unnamed" / recording.resolve().name)
            recording = work / "unnamed" / recording.resolve().name
        served, results, first = _work(recording, work, seed, SPLITS_QUICK if quick else SPLITS)
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
    apportion = command(Path.cwd(), Path(sys.executable), shutil.which("apportion"))
    told = NEXT.format(apportion=apportion, out=out, query=_example(first, out))
    console.print(told, highlight=False, markup=False, soft_wrap=True)


NEXT = """
How to go on:
  {apportion} serve --config {out}/router.toml --http-listen 127.0.0.1:8080
      the same server, over the recorded answers; its console: http://127.0.0.1:8080/console/
  {apportion} ask "{query}"
      a query of the recording, in another terminal
  {apportion} replay --recording {out}/recording --config {out}/router.toml --price 0
  make bench RECORDING=training/recordings/house
      every way to route, with intervals
Your own models: collect, grade, fit, serve: five steps in README.md."""


def command(here: Path, python: Path, on_path: str | None) -> str:
    """How `apportion` is called in the folder `here`: by its name alone where that is this environment's own.

    >>> command(Path("/a"), Path("/a/.venv/bin/python"), None)
    '.venv/bin/apportion'
    >>> command(Path("/a"), Path("/b/bin/python"), "/b/bin/apportion")
    'apportion'
    """
    own = python.parent / "apportion"
    if on_path is not None and Path(on_path) == own:
        return "apportion"
    return str(own.relative_to(here) if own.is_relative_to(here) else own)


def _work(source: Path, work: Path, seed: int, count: int) -> tuple[walk.Served, list[Result], Split]:
    """All splits, two at a time; the first is served."""
    blind = work / source.resolve().name  # decisions go by the name of the folder
    blind_copy(source, blind)
    splits = [prepare(source, blind, work / f"split-{number}", seed + number) for number in range(count)]
    first = splits[0]
    asked = len(first.test_ids) * len(WEIGHTS)
    title = f"fit {count} bundles, replay and score"
    with (
        shown_steps(title, 3 * count, asked, Console(stderr=True)) as steps,
        ThreadPoolExecutor(WORKERS) as pool,
    ):

        def serve() -> tuple[walk.Served, Result]:
            with steps.doing("fitting split 1", "split 1 is fitted"):
                walk.fit(first)
            with steps.doing("serving split 1", "split 1 is answered and scored", 2):
                return walk.served(first, source, blind, WEIGHTS, steps.query)

        def replay(number: int, split: Split) -> Result:
            with steps.doing(f"fitting split {number}", f"split {number} is fitted"):
                walk.fit(split)
            with steps.doing(f"replaying split {number}", f"split {number} is replayed"):
                decisions = walk.replayed(split, blind, WEIGHTS)
            with steps.doing(f"scoring split {number}", f"split {number} is scored"):
                return walk.scored(split, source, WEIGHTS, decisions)

        serving = pool.submit(serve)
        others = [pool.submit(replay, *one) for one in enumerate(splits[1:], start=2)]
        served, result = serving.result()
        return served, [result, *(other.result() for other in others)], first


def check_place(out: Path) -> None:
    """Raise `TrainingError` where the demo would throw away what it has not made."""
    there = [name for name in ("recording", "bundle", "router.toml") if (out / name).exists()]
    if there and not (out / "demo.json").is_file():
        raise TrainingError(
            f"demo: {out / there[0]} is there and is no demo's: name another folder with --out"
        )


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
