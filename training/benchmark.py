"""`training benchmark SUITE`: run a suite over recordings; figures as JSON or a table, decisions as Parquet."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from predictors.errors import PredictorError
from router.errors import RouterError
from router.plugins import resolve
from router.recording import Recording
from training.decision_rows import DecisionRows
from training.decisions_file import DecisionsFile
from training.errors import NotEnoughData, TrainingError
from training.figures.spread import Spread
from training.progress import shown_progress
from training.suites import SUITES, Figures, Run, Suite


@dataclass(frozen=True, slots=True)
class Failed:
    """A recording on which the suite ended with an error."""

    error: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """A recording on which the suite has no meaning."""

    why: str


Outcome = Figures | Failed | Skipped


def benchmark(
    suite: Annotated[str, typer.Argument(help=f"One of: {', '.join(SUITES)}.")],
    recording: Annotated[
        list[Path] | None, typer.Option(help="Folder of a recording; repeat for several.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The first seed.")] = 0,
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds, counted up from the first.")] = 1,
    decisions: Annotated[Path | None, typer.Option(help="Write every decision to this Parquet file.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Write pictures into this folder.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of a table.")] = False,
) -> None:
    """Measure how well it decides, on recordings, next to every simple way to decide."""
    run = Run(seed=seed, seeds=seeds, plots=plot, workers=workers)
    with shown_progress() as progress:
        found = run_suite(suite, recording or [], replace(run, progress=progress), decisions)
    if as_json:
        print(json.dumps(to_json(found), allow_nan=False))
    else:
        from training.benchmark_table import print_tables

        print_tables(suite, found)


def run_suite(name: str, folders: list[Path], run: Run, decisions: Path | None = None) -> dict[str, Outcome]:
    """Recording (its folder's name) -> figures, or why there are none.

    Raises `UnknownName` for a suite that is not there, `TrainingError` for no or two equally named recordings.
    """
    suite: Suite = resolve("suite", SUITES, name)()
    if not suite.needs_recording:
        return {name: _measured(lambda: suite.run(None, None, run))}
    names = [folder.resolve().name for folder in folders]
    if not names:
        raise TrainingError(f"benchmark {name}: give it a recording: --recording FOLDER")
    twice = next((one for one in names if names.count(one) > 1), None)
    if twice is not None:
        raise TrainingError(
            f"benchmark {name}: two recordings are called {twice!r}; results go by the folder's name"
        )
    found: dict[str, Outcome] = {}
    with ExitStack() as stack:
        file = stack.enter_context(DecisionsFile(decisions)) if decisions is not None else None
        for place, (one, folder) in enumerate(zip(names, folders, strict=True)):
            found[one] = _measured(partial(_run_one, suite, folder, run, file, place, names))
    return found


def _run_one(
    suite: Suite, folder: Path, run: Run, file: DecisionsFile | None, place: int, names: list[str]
) -> Figures:
    def progress(what: str, share: float) -> None:
        run.progress(f"{names[place]} · {what}", (place + share) / len(names))

    progress("reading", 0.0)
    recording = Recording.load(folder)

    def write(rows: DecisionRows) -> None:
        if file is not None:
            file.write(rows, recording)

    return suite.run(
        recording, folder, replace(run, write=None if file is None else write, progress=progress)
    )


def _measured(measure: Callable[[], Figures]) -> Outcome:
    """A recording that fails must not take the others with it, whatever is wrong with it."""
    try:
        return measure()
    except NotEnoughData as reason:
        return Skipped(str(reason))
    except (RouterError, PredictorError, TrainingError) as error:
        return Failed(str(error))
    except Exception as error:  # noqa: BLE001 (see above; the type is part of the message)
        return Failed(f"{type(error).__name__}: {error}")


def to_json(found: Mapping[str, Outcome]) -> dict[str, Any]:
    """What `--json` prints."""
    return {name: _outcome_json(outcome) for name, outcome in found.items()}


def _outcome_json(outcome: Outcome) -> dict[str, Any]:
    if isinstance(outcome, Failed):
        return {"error": outcome.error}
    if isinstance(outcome, Skipped):
        return {"skipped": outcome.why}
    return {
        subject: {
            figure: value.to_json() if isinstance(value, Spread) else value
            for figure, value in figures.items()
        }
        for subject, figures in outcome.items()
    }
