"""One split of the demo, step by step; every step is a process of its own that sees only what it may."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from router.client import Reply
from router.configuration.file import load
from router.domain.decision import Status
from router.recording import Recording
from training.decision_rows import RowKey
from training.decisions_file import DecisionsFile
from training.decisions_taken import Taken, rows_of_taken, with_small_wrong
from training.demonstration.prepare import Split
from training.demonstration.score import Job, Result
from training.demonstration.serve import Asked, ask_all, report_all, server
from training.errors import TrainingError
from training.menu import cheapest_first


@dataclass(frozen=True, slots=True)
class Served:
    """What the real server did with the held-out half of one split."""

    queries: int
    failed: int  # replies without an answer
    reported: int  # outcomes that the server committed
    same_as_replay: int  # decisions with the plan and samples of the replay


def run(*arguments: str) -> None:
    """`python -m …`; raise TrainingError with what it said where it fails."""
    done = subprocess.run(  # noqa: S603 (our own commands)
        [sys.executable, "-m", *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip()[-1500:]
        raise TrainingError(f"demo: {' '.join(arguments[:2])} ended with code {done.returncode}: {said}")


def fit(split: Split) -> None:
    """Learn from the labelled half alone."""
    paths = ("--recording", str(split.labelled), "--config", str(split.config), "--out", str(split.bundle))
    run("training", "fit", *paths, "--seed", str(split.seed), "--no-outlook")


def replayed(split: Split, blind: Path, weights: Sequence[float]) -> dict[str, Path]:
    """Decisions at each price by the live allocator, in a process that has no rewards; label -> file."""
    files = {}
    for weight in weights:
        path = split.folder / f"replayed-x{weight:g}.parquet"
        run(
            *("training", "replay", "--recording", str(blind), "--config", str(split.config)),
            *("--queries", str(split.tests), "--decisions", str(path), "--price", repr(split.price * weight)),
        )
        files[label(weight)] = path
    return files


def label(weight: float) -> str:
    """How a price is called."""
    return f"×{weight:g}"


def scored(split: Split, source: Path, weights: Sequence[float], decisions: dict[str, Path]) -> Result:
    """Hand the decisions to the process that may read the held-out rewards."""
    job = Job(
        recording=str(source),
        seed=split.seed,
        fit_ids=list(split.fit_ids),
        test_ids=list(split.test_ids),
        config=str(split.config),
        labelled=str(split.labelled),
        prices={label(weight): split.price * weight for weight in weights},
        decisions={name: str(path) for name, path in decisions.items()},
    )
    paths = split.folder / "job.json", split.folder / "result.json"
    paths[0].write_bytes(msgspec.json.encode(job))
    run("training.demonstration.score", *map(str, paths))
    return msgspec.json.decode(paths[1].read_bytes(), type=Result)


def served(
    split: Split, source: Path, blind: Path, weights: Sequence[float], progress: Callable[[], None]
) -> tuple[Served, Result]:
    """Ask the real server, score elsewhere, report the outcomes to the server; replay it all to compare."""
    recording = Recording.load(blind)
    texts = [recording.queries[recording.index_of(query_id)].query for query_id in split.test_ids]
    asked = [
        Asked(query_id, text, weight)
        for weight in weights
        for query_id, text in zip(split.test_ids, texts, strict=True)
    ]
    with server(split.config, split.folder / "server.log") as address:
        replies = ask_all(address, asked, progress)
        files = _written(split, recording, asked, replies)
        result = scored(split, source, weights, files)
        rewards = [
            (query, reply, result.rewards[label(query.weight)][query.query_id])
            for query, reply in zip(asked, replies, strict=True)
        ]
        reported = report_all(address, rewards)
    same = _same(files, replayed(split, blind, weights))
    failed = sum(reply.status is not Status.ANSWERED for reply in replies)
    return Served(len(asked), failed, reported, same), result


def _written(
    split: Split, recording: Recording, asked: Sequence[Asked], replies: Sequence[Reply]
) -> dict[str, Path]:
    """The served decisions in the form of the replayed ones, a file for each price."""
    config = load(split.config)
    files = {}
    for weight in dict.fromkeys(query.weight for query in asked):
        mine = [(query, reply) for query, reply in zip(asked, replies, strict=True) if query.weight == weight]
        path = split.folder / f"served-x{weight:g}.parquet"
        point = f"price={split.price * weight:g}"
        with DecisionsFile(path) as file:
            key = RowKey("replay", recording.name, "apportion", split.seed, 0, point)
            rows = rows_of_taken(
                [_taken(recording, query, reply) for query, reply in mine], recording, config, key
            )
            file.write(rows, recording)
        files[label(weight)] = path
    return files


def _taken(recording: Recording, query: Asked, reply: Reply) -> Taken:
    return Taken(
        place=recording.index_of(query.query_id),
        plan=reply.decision.plan,
        samples=tuple((sample.backend, sample.index, sample.prefix_tokens) for sample in reply.samples),
        answer=reply.answers[0].extracted if reply.answers else None,
        probabilities=reply.decision.probabilities,
        signals=with_small_wrong(reply.decision.signals, cheapest_first(recording)[0]),
    )


def _same(one: dict[str, Path], other: dict[str, Path]) -> int:
    """Rows of the files that agree in query, plan, samples, answer and cost."""
    import pyarrow.parquet as pq

    columns = ["query_id", "plan", "samples", "answer", "cost"]
    count = 0
    for name, path in one.items():
        left, right = (pq.read_table(file, columns=columns).to_pylist() for file in (path, other[name]))
        count += sum(a == b for a, b in zip(left, right, strict=True))
    return count
