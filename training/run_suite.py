"""A suite over recordings: figures by recording and subject, or why there are none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from predictors.errors import PredictorError
from router.errors import RouterError
from router.plugins import resolve
from router.recording import Recording
from training.decision_rows import DecisionRows
from training.decisions_file import DecisionsFile
from training.errors import NotEnoughData, TrainingError
from training.figures.spread import Spread
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
    progress("measuring", 0.0)

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
