"""The suite `calibration`: P(this sample is right) by what it is predicted from, out of fold, all backends pooled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from router.recording import Recording
from training.decision_rows import DecisionRows, Named, RowKey
from training.errors import NotEnoughData, TrainingError
from training.suites import Figures, Run, Suite
from training.suites.calibration.figures import ENOUGH, SIGNAL, CalibrationFigures, failures
from training.suites.calibration.fold import FOLDS, Job, Predicted, predict_fold, run_job
from training.suites.workers import results_in_order

LEAST_SAMPLES = 50


@dataclass(frozen=True, slots=True)
class Calibration(Suite):
    """Splits by text, made before anything is fitted."""

    needs_recording: ClassVar[bool] = True

    def run(self, recording: Recording | None, folder: Path | None, run: Run) -> Figures:
        """Figures of every subject. See `training.suites.calibration.figures`."""
        if recording is None or folder is None:
            raise TrainingError("calibration: a recording is needed")
        seen = recording.columns
        labelled = int((seen.finished & np.isfinite(seen.reward)).sum())
        if labelled < LEAST_SAMPLES:
            raise NotEnoughData(
                f"calibration needs {LEAST_SAMPLES} labelled samples; {recording.name} has {labelled}"
            )
        collected = CalibrationFigures(recording)
        seeds = range(run.seed, run.seed + run.seeds)
        jobs = [Job(folder, seed, fold) for seed in seeds for fold in range(FOLDS)]
        notes: list[dict[str, float]] = []

        def here(job: Job) -> Predicted:
            return predict_fold(recording, job)

        results = results_in_order(jobs, run.workers, here, run_job)
        for done, found in enumerate(results, 1):
            for rows in as_rows(found, recording):
                collected.take(rows)
                if run.write is not None:
                    run.write(rows)
            notes.append(found.notes)
            run.progress(f"fold {found.job.fold + 1}", done / len(jobs))
        figures = collected.figures()
        if not figures:
            raise NotEnoughData(
                f"calibration needs texts that can be held out; the {len(recording.queries)} queries of "
                f"{recording.name} have {len({query.query for query in recording.queries})}, all in one fold"
            )
        for name in dict.fromkeys(name for note in notes for name in note):
            value = float(np.mean([note[name] for note in notes if name in note]))
            figures["apportion"][name.replace("brier_skill/sample_blend", "skill")] = value
        if float(str(figures["apportion"]["queries"] if run.seeds == 1 else 0)) >= ENOUGH:
            figures["apportion"]["goal_met"] = float(not failures(figures))
        return figures


def as_rows(found: Predicted, recording: Recording) -> Iterator[DecisionRows]:
    """One block per subject: each row has looked at one sample and says how likely it is right."""
    seen, rows = recording.columns, found.rows
    n = len(rows)
    backend: NDArray[np.int32] = seen.backend[rows].astype(np.int32)
    for subject, p in found.by_subject.items():
        yield DecisionRows(
            key=RowKey("calibration", recording.name, subject, found.job.seed, found.job.fold, ""),
            query=seen.query[rows],
            plans=recording.backends,
            plan=backend,
            samples_from=np.arange(n + 1, dtype=np.int32),
            sample_row=rows,
            answer=seen.answer[rows],
            cost=seen.cost[rows],
            probabilities=Named(recording.backends, np.arange(n + 1, dtype=np.int32), backend, np.ones(n)),
            signals=Named.dense({SIGNAL: p}, n),
        )
