"""Where samples speak for themselves, fewer of them answer better than the majority of all; the file says how."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from router.recording import Recording
from router.recordings.cost import Prices
from router.recordings.format import RecordingMeta, write_recording
from training.decision_rows import DecisionRows, answering_row, cost_of_samples
from training.decisions_file import DecisionsFile, read_decisions
from training.figures.spread import Spread
from training.suites import Figures, Run
from training.suites.sampling.figures import SamplingFigures
from training.suites.sampling.suite import Sampling

QUERIES, EACH = 130, 8


def write_sums(folder: Path) -> Path:
    """A right sample is worked out, a wrong one is a guess; two guesses of three are the same, so votes are often wrong."""
    rng = np.random.default_rng(0)
    rows = []
    for query in range(QUERIES):
        rate = rng.beta(1.0, 2.0)
        for index in range(EACH):
            right = bool(rng.random() < rate)
            result = 40 + query + (0 if right else 3 if rng.random() < 0.67 else 7)
            text = (
                f"{query} + 40 = {result}\nSo it is {result}." if right else f"I guess that it is {result}."
            )
            rows.append((f"q{query:04d}", index, text, str(result), float(right)))
    ids, indices, texts, answers, rewards = zip(*rows, strict=True)
    asked = [f"What do the numbers of line {query} make?" for query in range(QUERIES)]
    write_recording(
        folder,
        RecordingMeta(name=folder.name, prices={"one": Prices(1.0, 1.0)}),
        pa.table({"query_id": [f"q{query:04d}" for query in range(QUERIES)], "query": asked}),
        pa.table(
            {
                "query_id": ids,
                "backend": ["one"] * len(ids),
                "sample_idx": pa.array(indices, pa.int32()),
                "text": texts,
                "answer": answers,
                "reward": pa.array(rewards, pa.float32()),
                "tokens_in": pa.array([10] * len(ids), pa.int32()),
                "tokens_out": pa.array([12] * len(ids), pa.int32()),
            }
        ),
    )
    return folder


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recording, Figures, list[DecisionRows]]:
    folder = write_sums(tmp_path_factory.mktemp("weighed") / "sums")
    recording, path = Recording.load(folder), folder.parent / "out.parquet"
    with DecisionsFile(path) as file:
        run = Run(workers=1, write=lambda rows: file.write(rows, recording))
        figures = Sampling(("fixed", "apportion"), splits=2).run(recording, folder, run)
    return recording, figures, list(read_decisions(path, {"sums": recording}))


def mean(figures: Figures, subject: str, figure: str) -> float:
    value = figures[subject][figure]
    return value.mean if isinstance(value, Spread) else value


def test_fewer_samples_answer_better_than_the_majority_of_all(
    measured: tuple[Recording, Figures, list[DecisionRows]],
) -> None:
    figures = measured[1]
    assert mean(figures, "apportion", "saved@0.5pt") > 60
    assert mean(figures, "apportion", "realised_loss@0.5pt") < 0.5
    assert mean(figures, "apportion", "saved@default") > 25
    assert mean(figures, "apportion", "realised_loss@default") < -10  # the majority is wrong that often
    assert mean(figures, "apportion", "fewer_than_fixed") > 50


def test_every_figure_and_answer_comes_out_of_the_decisions_file(
    measured: tuple[Recording, Figures, list[DecisionRows]],
) -> None:
    recording, figures, blocks = measured
    again, other_than_majority = SamplingFigures(recording), 0
    for rows in blocks:
        again.take(rows)
        np.testing.assert_allclose(rows.cost, cost_of_samples(rows, recording), rtol=1e-12)
        if rows.key.subject != "apportion" or rows.key.operating_point.startswith("verified@"):
            continue
        answers = recording.columns.answer[answering_row(rows, recording)].tolist()
        for at, answer in enumerate(answers):
            drawn = rows.sample_row[rows.samples_from[at] : rows.samples_from[at + 1]]
            given = recording.columns.answer[drawn].tolist()
            assert answer in given
            other_than_majority += Counter(given).most_common(1)[0][1] > given.count(answer)
    assert again.figures() == figures
    assert other_than_majority > 20
