"""Make the house recording again: `make recording`. Two real models, two prompts, a workload of our own.

Stages go from what is needed first to what is long, so that a recording can be shipped after any of them. Stopped in
whatever way, the same command goes on where it was.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from training.collect.command import collect_command
from training.collect.finish import finish
from training.collect.journal import Key, key_of, read_rows
from training.collect.queries import CollectedQuery, read_queries
from training.errors import TrainingError
from training.grade import grade
from training.vllm_cpu.environment import cpu_flags
from training.vllm_cpu.models import MODELS
from training.vllm_cpu.places import cache_folder
from training.vllm_cpu.server import ServerOptions, VllmServer, fastest_dtype
from training.workload import KINDS
from training.workload.generate import workload, write_workload

SHIPPED = Path(__file__).parent / "recordings" / "house"
PROMPTS = "-prompts"  # the recording beside it: both prompts, for the queries that both have
SEED, PER_KIND, FIRST = 0, 60, 420  # FIRST: queries of the small recording, 20 of every kind
# Dollars per 1M tokens, in and out. Assumed, in the proportion of a hosted 8B and a hosted 70B model: on one CPU
# the two models here cost almost the same, which is nobody's situation.
PRICES = {"small": (0.05, 0.1), "large": (0.6, 1.2)}
MAX_TOKENS = {"direct": 48, "step": 160}


@dataclass(frozen=True, slots=True)
class Stage:
    """So many samples of some backends for the first so many queries; a backend is a model and a prompt."""

    queries: int
    prompt: str
    samples: Mapping[str, int]  # size of the model -> samples

    def backend(self, size: str) -> str:
        """The backend's name in the recording."""
        return size if self.prompt == "direct" else f"{size}-{self.prompt}"

    def keys(self, queries: Sequence[CollectedQuery]) -> Iterator[Key]:
        """Every sample of the stage."""
        for query in queries[: self.queries]:
            for size, many in self.samples.items():
                for sample_idx in range(many):
                    yield query.query_id, self.backend(size), sample_idx


STAGES = (
    Stage(FIRST, "direct", {"small": 4, "large": 4}),
    Stage(PER_KIND * len(KINDS), "direct", {"small": 8, "large": 4}),
    Stage(FIRST, "direct", {"small": 16, "large": 8}),
    Stage(FIRST, "step", {"small": 8, "large": 4}),
    Stage(PER_KIND * len(KINDS), "step", {"small": 4, "large": 2}),
    Stage(PER_KIND * len(KINDS), "step", {"small": 8, "large": 4}),
)


def backend_option(stage: Stage, size: str, url: str) -> str:
    """The `--backend` of `apportion collect`."""
    price_in, price_out = PRICES[size]
    options = {
        "model": MODELS[size].name,
        "prompt": stage.prompt,
        "max_tokens": MAX_TOKENS[stage.prompt],
        "price_in": price_in,
        "price_out": price_out,
        "samples": stage.samples[size],
    }
    return f"{stage.backend(size)}={url}," + ",".join(f"{key}={value}" for key, value in options.items())


def complete_keys(folder: Path, queries: Sequence[CollectedQuery]) -> set[Key]:
    """The samples of all stages of which nothing is missing in the journal."""
    path = folder / "journal.jsonl"
    drawn = {key_of(row) for row in read_rows(path)} if path.is_file() else set[Key]()
    complete: set[Key] = set()
    for stage in STAGES:
        keys = set(stage.keys(queries))
        if keys <= drawn:
            complete |= keys
    return complete


def provenance() -> dict[str, Any]:
    """What `meta.json` says beyond the format's own keys."""
    return {
        "models": {
            size: {"name": model.name, "licence": model.licence, "gguf_sha256": model.sha256}
            for size, model in MODELS.items()
        },
        "made_by": "make recording",
        "server": f"vLLM for the CPU (locks/vllm-cpu.txt), {fastest_dtype(cpu_flags())}, two servers at once",
        "tables": "countryinfo (MIT), periodictable (public domain)",
        "graders": {kind: grader for kind, (grader, _) in KINDS.items()},
    }


def ship(folder: Path, queries: Sequence[CollectedQuery], out: Path) -> None:
    """Write and grade the recordings from all complete stages: the direct prompt's, and both prompts' beside it.

    Two, because a comparison of backends is over the queries that all of them have.
    """
    complete = complete_keys(folder, queries)
    if not complete:
        raise TrainingError(
            f"{folder}: the first stage is not complete yet; `make recording` goes on with it"
        )
    step = {stage.backend(size) for stage in STAGES if stage.prompt == "step" for size in stage.samples}
    thought_about = {query for query, backend, _ in complete if backend in step}
    write(folder, queries, out, {key for key in complete if key[1] not in step})
    if thought_about:
        beside = out.with_name(out.name + PROMPTS)
        write(folder, queries, beside, {key for key in complete if key[0] in thought_about})


def write(folder: Path, queries: Sequence[CollectedQuery], out: Path, wanted: set[Key]) -> None:
    """Write and grade one recording of these samples, named after its folder."""
    finish(
        folder,
        queries,
        name=out.name,
        licence="Apache-2.0",
        source="questions and golds: training/workload; answers: models run by training/house.py",
        note="timings of a busy 2-core machine; prices assumed, in the proportion of an 8B to a 70B model",
        extra=provenance(),
        out=out,
        wanted=lambda key: key in wanted,
    )
    grade(out)
    size = sum(file.stat().st_size for file in out.iterdir()) / 1e6
    print(f"{out}: {len(wanted)} samples, {size:.1f} MB", file=sys.stderr)


def collect_stages(folder: Path, file: Path, urls: Mapping[str, str], stages: Sequence[Stage]) -> None:
    """Draw what is missing of the stages, in their order."""
    for number, stage in enumerate(stages, 1):
        print(f"stage {number} of {len(stages)}", file=sys.stderr)
        collect_command(
            [backend_option(stage, size, urls[size]) for size in stage.samples],
            queries=file,
            out=folder,
            limit=stage.queries,
            seed=SEED,
            concurrency=48,
            retries=12,
            no_finish=True,
        )


def house(
    folder: Annotated[Path | None, typer.Option(help="Of the journal. Default: in the user's cache.")] = None,
    out: Annotated[Path, typer.Option(help="Of the recording.")] = SHIPPED,
    stages: Annotated[
        int, typer.Option(min=0, max=len(STAGES), help="How many; 0: only write what is there.")
    ] = len(STAGES),
    url: Annotated[
        list[str] | None,
        typer.Option(metavar="small|large=URL", help="Servers that run already, instead of our own."),
    ] = None,
) -> None:
    """Collect, write and grade the house recordings."""
    folder = folder or cache_folder() / "collect" / "house"
    file = folder / "workload.jsonl"
    write_workload(file, workload(PER_KIND, SEED))
    queries = read_queries(file)
    running = dict(text.partition("=")[::2] for text in url or ())
    if stages and set(running) >= set(MODELS):
        collect_stages(folder, file, running, STAGES[:stages])
    elif stages:
        options = ServerOptions(stream_interval=16, nice=10)
        with VllmServer("small", options) as small, VllmServer("large", options) as large:
            collect_stages(folder, file, {"small": small.url, "large": large.url}, STAGES[:stages])
    ship(folder, queries, out)


def main() -> None:
    """Run the command by itself."""
    try:
        typer.run(house)
    except TrainingError as error:
        print(f"recording: {error}", file=sys.stderr)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
