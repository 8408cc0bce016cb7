"""Make the recordings of growing samples again: `make recording-traces`. One real model that works things out.

`house-traces`: the larger of the two models works every question out and then checks its result, which makes texts of
several steps whose answer is often there long before their end; the kinds of questions are those that it mostly gets
right in several steps. `house-grown`: eight samples of the small model, step by step, of the kinds at which it is
neither hopeless nor brief; what pruning costs is read off them. After every `EVERY` tokens a sample is asked for its
answer. Stopped in whatever way, the same command goes on.
"""

from __future__ import annotations

import signal
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from training.collect.command import collect_command
from training.collect.finish import finish
from training.collect.journal import Journal, Key
from training.collect.queries import CollectedQuery, read_queries
from training.errors import TrainingError
from training.grade import grade
from training.house import PRICES, provenance
from training.vllm_cpu.models import MODELS
from training.vllm_cpu.places import cache_folder
from training.vllm_cpu.server import ServerOptions, VllmServer
from training.workload.generate import Question, workload, write_workload

RECORDINGS = Path(__file__).parent / "recordings"
SEED, EVERY = 0, 16


@dataclass(frozen=True, slots=True)
class Grown:
    """One recording of growing samples."""

    name: str
    size: str  # of the model
    prompt: str
    kinds: tuple[str, ...]
    per_kind: int
    max_tokens: int
    samples: int = 1

    @property
    def backend(self) -> str:
        """As the recording names it."""
        return f"{self.size}-{self.prompt}"

    def questions(self) -> list[Question]:
        """What is asked."""
        return workload(self.per_kind, SEED, self.kinds)

    def backend_option(self, url: str) -> str:
        """The `--backend` of `apportion collect`."""
        price_in, price_out = PRICES[self.size]
        options = {
            "model": MODELS[self.size].name,
            "prompt": self.prompt,
            "max_tokens": self.max_tokens,
            "snapshots": EVERY,
            "price_in": price_in,
            "price_out": price_out,
            "samples": self.samples,
        }
        return f"{self.backend}={url}," + ",".join(f"{key}={value}" for key, value in options.items())


TRACES = Grown(
    "house-traces",
    "large",
    "check",
    ("sum", "difference", "product", "division", "larger", "shopping", "units", "code"),
    per_kind=64,
    max_tokens=448,
)
VOTES = Grown(
    "house-grown",
    "small",
    "step",
    ("product", "code", "larger", "letters", "continent", "element", "sort_of", "opposite"),
    per_kind=18,
    max_tokens=160,
    samples=8,
)


def looked_at(folder: Path) -> set[Key]:
    """The samples of the journal of which no check-point is missing."""
    with Journal(folder) as journal:
        return journal.done - set(journal.growing)


def ship(folder: Path, queries: list[CollectedQuery], out: Path, samples: int = 1) -> None:
    """Write and grade what is complete: queries with as many samples as wanted, and every check-point of them."""
    looked = looked_at(folder)
    count = Counter(query_id for query_id, _, _ in looked)
    complete = {key for key in looked if count[key[0]] >= samples}
    finish(
        folder,
        queries,
        name=out.name,
        licence="Apache-2.0",
        source="questions and golds: training/workload; answers: a model run by training/house_traces.py",
        note="every sample with the answers that it would have given on its way; timings of a busy 2-core machine; "
        "prices assumed",
        extra=provenance() | {"made_by": "make recording-traces"},
        out=out,
        wanted=lambda key: key in complete,
    )
    grade(out)
    size = sum(file.stat().st_size for file in out.iterdir()) / 1e6
    print(f"{out}: {len(complete)} samples, {size:.1f} MB", file=sys.stderr)


def house_traces(
    which: Annotated[str, typer.Option(help="house-traces or house-grown.")] = TRACES.name,
    folder: Annotated[Path | None, typer.Option(help="Of the journal. Default: in the user's cache.")] = None,
    out: Annotated[Path | None, typer.Option(help="Of the recording. Default: where it ships.")] = None,
    limit: Annotated[int, typer.Option(min=0, help="Only the first so many queries; 0: all.")] = 0,
    url: Annotated[str, typer.Option(help="A server that runs already, instead of our own.")] = "",
    finish_only: Annotated[
        bool, typer.Option("--finish-only", help="Write what has been collected.")
    ] = False,
) -> None:
    """Collect, write and grade the recording."""
    wanted = {one.name: one for one in (TRACES, VOTES)}.get(which)
    if wanted is None:
        raise TrainingError(
            f"house_traces: unknown recording {which!r}; choose from {TRACES.name}, {VOTES.name}"
        )
    folder = folder or cache_folder() / "collect" / wanted.name
    file = folder / "workload.jsonl"
    write_workload(file, wanted.questions())
    if not finish_only and url:
        collect(wanted, folder, file, url, limit)
    elif not finish_only:
        options = ServerOptions(threads=2, stream_interval=16, nice=10, block_tokens=32)
        with VllmServer(wanted.size, options) as server:
            collect(wanted, folder, file, server.url, limit)
    ship(folder, read_queries(file), out or RECORDINGS / wanted.name, wanted.samples)


def collect(grown: Grown, folder: Path, file: Path, url: str, limit: int) -> None:
    """Draw what is missing."""
    collect_command(
        [grown.backend_option(url)],
        queries=file,
        out=folder,
        limit=limit,
        seed=SEED,
        concurrency=48,
        retries=12,
        no_finish=True,
    )


def main() -> None:
    """Run the command by itself; a signal to end it ends the server that it started as well."""

    def leave(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, leave)
    try:
        typer.run(house_traces)
    except TrainingError as error:
        print(f"house_traces: {error}", file=sys.stderr)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
