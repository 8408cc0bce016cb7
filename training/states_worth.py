"""What states say of "this sample is right" beside text and logprobs: `python -m training.states_worth NAME=FOLDER …`.

Every recording must hold the same samples of the backend, each with another kind of states in its column `hidden`. One
head per kind of evidence, fitted on four fifths of the queries, judged on the rest; with all labels, and with few.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from predictors import worked_numbers
from predictors.sample_features import FORM, SAID
from router.recording import Recording
from router.recordings.text_split import split_by_text
from training.errors import TrainingError
from training.figures.ranking import auroc
from training.fit.joint_probe import fit_jointly, with_said
from training.fit.joint_probe import said as told_by
from training.fit.one_head import fit_on_rows
from training.fit.rows import FitRows, rows_of
from training.fit.states import fit_probe, states_of
from training.one_thread import one_thread
from training.sample_rows import SampleRows, sample_rows
from training.suites.calibration.figures import RIGHT
from training.suites.calibration.kinds import KINDS, Kind, only

Floats = NDArray[np.float64]
FOLDS = 5
BOTH = Kind((*FORM, *worked_numbers.NAMES, *SAID, "log_tokens_out", "tokens_known"), words=True)


@dataclass(frozen=True, slots=True)
class Part:
    """Some queries' samples of the backend in one recording."""

    seen: FitRows
    made: SampleRows

    @classmethod
    def of(cls, recording: Recording, backend: str, ids: list[str], seed: int) -> Part:
        """Every sample once; folds are by query, and nothing is known before."""
        rows = rows_of([recording], ids)
        mine = [one for one in rows.samples if one.sample.backend == backend and one.sample.finished]
        rows = replace(rows, samples=tuple(mine))
        nothing = np.full((len(rows.texts), len(rows.backends)), 0.5)
        folds = split_by_text(rows.texts, FOLDS, seed)
        return cls(rows, sample_rows(rows, nothing, nothing, folds, np.random.default_rng(seed)))

    def states(self, backend: str) -> NDArray[np.float32]:
        """(samples, width)"""
        mine, x, _ = states_of(self.made, self.seen, backend)
        if len(mine) != len(self.made):
            raise TrainingError(f"{len(self.made) - len(mine)} samples of {backend!r} have no states")
        return x


def fold_figures(
    recordings: Mapping[str, Recording],
    backend: str,
    ids: tuple[list[str], list[str]],  # of the queries that are fitted on, and of those that are judged
    labels: int,  # samples that are fitted on; 0: all
    seed: int,
) -> dict[str, float]:
    """AUROC by evidence: `text`, `text+logprobs`, each kind of states alone, and with both."""
    first = next(iter(recordings.values()))
    train, test = (Part.of(first, backend, part, seed) for part in ids)
    kept = np.arange(len(train.made))
    if labels:
        kept = np.sort(np.random.default_rng([seed, labels]).permutation(kept)[:labels])
    some = counted_once(train.made.taken(kept), train.seen)
    said = {
        "text": _said(only(KINDS["text"], some), only(KINDS["text"], test.made), train.seen, seed),
        "text+logprobs": _said(only(BOTH, some), only(BOTH, test.made), train.seen, seed),
    }
    for name, recording in recordings.items():
        fitted, judged = (Part.of(recording, backend, part, seed) for part in ids)
        if not np.array_equal(fitted.made.y, train.made.y) or not np.array_equal(judged.made.y, test.made.y):
            raise TrainingError(f"{recording.name}: its samples are not those of {first.name}")
        x, new = fitted.states(backend)[kept], judged.states(backend)
        alone = fit_probe(x, (), some.y, some.weight, some.fold, seed)
        said[name] = alone.probe.many(new)
        both = only(BOTH, some), only(BOTH, test.made)
        joint = fit_jointly(both[0], x, ())
        told = (
            with_said(both[0], joint.held_out, joint.nested),
            with_said(both[1], told_by(joint.probe, both[1], new)),
        )
        said[f"text+logprobs+{name}"] = _said(*told, train.seen, seed)
    return {name: auroc(p, test.made.y >= RIGHT) for name, p in said.items()}


def counted_once(rows: SampleRows, seen: FitRows) -> SampleRows:
    """The rows so weighted that a query counts once, however many of its samples are among them."""
    query = np.array([seen.samples[number].query for number in rows.number])
    return replace(rows, weight=1.0 / np.bincount(query)[query])


def _said(train: SampleRows, test: SampleRows, seen: FitRows, seed: int) -> Floats:
    head = fit_on_rows(train, seen.backends, seed).head
    if head is None:
        return np.full(len(test), 0.5)
    return head.many(test.x, test.words, test.prior)


def worth(
    recordings: Annotated[list[str], typer.Argument(help="NAME=FOLDER")],
    backend: Annotated[str, typer.Option()] = "small",
    labels: Annotated[str, typer.Option(help="samples that are fitted on, with commas; 0: all")] = "0,200",
    seeds: Annotated[int, typer.Option(min=1)] = 2,
) -> None:
    """Print one JSON object: labels -> evidence -> AUROC, mean over folds and seeds and its standard error."""
    pairs = [given.partition("=") for given in recordings]
    loaded = {name: Recording.load(Path(folder)) for name, _, folder in pairs}
    queries = next(iter(loaded.values())).queries
    ids = np.array([query.query_id for query in queries], dtype=object)
    said: dict[str, dict[str, list[float]]] = {}
    for many in (int(one) for one in labels.split(",")):
        rows = []
        for seed in range(seeds):
            part = split_by_text([query.query for query in queries], FOLDS, seed)
            for fold in range(FOLDS):
                halves = ids[part != fold].tolist(), ids[part == fold].tolist()
                rows.append(fold_figures(loaded, backend, halves, many, FOLDS * seed + fold))
                print(many, seed, fold, rows[-1], file=sys.stderr, flush=True)
        said[str(many or "all")] = {
            name: [
                float(np.mean([row[name] for row in rows])),
                float(np.std([row[name] for row in rows], ddof=1) / len(rows) ** 0.5),
            ]
            for name in rows[0]
        }
    print(json.dumps(said))


def main() -> None:
    """Run the command by itself."""
    try:
        with one_thread():
            typer.run(worth)
    except TrainingError as error:
        print(f"states-worth: {error}", file=sys.stderr)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
