"""Pruning in the suite `early_exit`: what it loses and saves where the truth is known, and on the shipped recording."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from router.recording import Recording
from router.recordings.cost import SNAPSHOT_TOKENS, Prices
from router.recordings.format import RecordingMeta, write_recording
from training.decision_rows import DecisionRows, cost_of_samples
from training.decisions_file import DecisionsFile, read_decisions
from training.figures.spread import Spread
from training.house_traces import EVERY, RECORDINGS, VOTES
from training.suites import Figures
from training.suites.early_exit.pruned import ORDERS, SUBJECTS, Together, pruned, together
from training.suites.early_exit.pruned_figures import PrunedFigures

QUERIES, SAMPLES, LENGTH, HALF = 80, 8, 64, 32


def write_grown(folder: Path, *, telling: bool, seed: int = 0) -> Path:
    """Six of eight samples agree on a wrong answer or two do on the right one; `telling`: the wrong look weak.

    Every third query's first sample ends after 20 tokens, before the check-point.
    """
    rng = np.random.default_rng(seed)
    rows: list[tuple[Any, ...]] = []
    for query in range(QUERIES):
        right = [number < (3 if query % 2 else 6) for number in range(SAMPLES)]
        for number, is_right in enumerate(rng.permutation(right).tolist()):
            length = 20 if query % 3 == 0 and number == 0 else LENGTH
            logprob = (-0.1 if is_right else -1.0) if telling else float(-rng.random())
            own = (f"q{query}", number, "gold" if is_right else "wrong", float(is_right), logprob)
            rows.append((*own, None, length))
            rows += [(*own, prefix, None) for prefix in (16, HALF, 48) if prefix < length]
    ids, index, answer, reward, logprobs, prefix, tokens = zip(*rows, strict=True)
    write_recording(
        folder,
        RecordingMeta(name=folder.name, prices={"one": Prices(1.0, 1.0)}),
        pa.table(
            {
                "query_id": [f"q{query}" for query in range(QUERIES)],
                "query": [f"what is {query}?" for query in range(QUERIES)],
            }
        ),
        pa.table(
            {
                "query_id": ids,
                "backend": ["one"] * len(ids),
                "sample_idx": pa.array(index, pa.int32()),
                "prefix_tokens": pa.array(prefix, pa.int32()),
                "answer": answer,
                "reward": pa.array(reward, pa.float32()),
                "mean_logprob": pa.array(logprobs, pa.float32()),
                "tokens_in": pa.array([10] * len(ids), pa.int32()),
                "tokens_out": pa.array(tokens, pa.int32()),
            }
        ),
    )
    return folder


def group_of(folder: Path) -> Together:
    found = together(Recording.load(folder), "one")
    assert found is not None
    return found


def figures_of(group: Together, subject: str) -> Figures:
    figures = PrunedFigures(group.recording)
    for rows in pruned(group, subject, subject, 0):
        figures.take(rows)
    return figures.figures()


def mean(figures: Figures, subject: str, name: str) -> float:
    value = figures[subject][name]
    assert isinstance(value, Spread)
    return value.mean


@pytest.fixture(scope="module")
def telling(tmp_path_factory: pytest.TempPathFactory) -> Together:
    return group_of(write_grown(tmp_path_factory.mktemp("grown") / "telling", telling=True))


def test_the_check_point_is_the_one_nearest_to_half_of_the_mean_length(telling: Together) -> None:
    assert telling.at_tokens == HALF
    assert telling.last.shape == telling.then.shape == (QUERIES, SAMPLES)
    assert (telling.then < 0).sum() == len(range(0, QUERIES, 3))  # those that had ended


def test_where_the_wrong_look_weak_pruning_makes_the_vote_better(telling: Together) -> None:
    """Half of the queries have three right of eight: 50 % by votes; the best four of eight are three right and one."""
    figures = figures_of(telling, "prune@logprob")
    assert mean(figures, "prune@logprob", "full_accuracy") == pytest.approx(0.5)
    assert mean(figures, "prune@logprob", "accuracy") > 0.95
    assert mean(figures, "prune@logprob", "realised_loss") < -45


def test_tokens_of_dropped_samples_are_counted_until_the_check_point_and_for_the_look(
    telling: Together,
) -> None:
    """Four of eight end at 32 of 64 tokens with a look of 20; of 27 of 80 queries a sample has 20 tokens in all."""
    figures = figures_of(telling, "prune@random")
    short = len(range(0, QUERIES, 3))
    length = QUERIES * SAMPLES * LENGTH - short * (LENGTH - 20)
    rows = next(pruned(telling, "prune@random", "prune@random", 0))
    dropped = int((~telling.recording.columns.finished[rows.sample_row]).sum())
    assert QUERIES * 3 < dropped <= QUERIES * 4  # a weak one that has ended is not dropped
    first = 100 * dropped * (LENGTH - HALF - SNAPSHOT_TOKENS) / length
    assert mean(figures, "prune@random", "tokens_saved") == pytest.approx(first, abs=0.5)


def test_asking_all_of_them_for_their_answers_costs_as_many_looks(telling: Together) -> None:
    asked, not_asked = (
        next(pruned(telling, subject, subject, 0)) for subject in ("prune@stated", "prune@logprob")
    )
    finished = telling.recording.columns.finished
    assert (~finished[asked.sample_row]).sum() == (telling.then >= 0).sum()
    assert (~finished[not_asked.sample_row]).sum() < (~finished[asked.sample_row]).sum()
    assert asked.cost.sum() > not_asked.cost.sum()


def test_half_as_many_samples_cost_half(telling: Together) -> None:
    figures = figures_of(telling, "fewer@half")
    assert mean(figures, "fewer@half", "tokens_saved") == pytest.approx(50.0, abs=1.0)


def test_the_answer_is_given_by_a_sample_that_was_kept(telling: Together) -> None:
    for subject in SUBJECTS:
        for rows in pruned(telling, subject, subject, 0):
            check_answers(rows, telling)


def check_answers(rows: DecisionRows, group: Together) -> None:
    seen = group.recording.columns
    for place in range(0, len(rows), 9):
        mine = rows.sample_row[rows.samples_from[place] : rows.samples_from[place + 1]]
        assert rows.answer[place] in seen.answer[mine[seen.finished[mine]]]
        assert len(set(seen.sample_idx[mine].tolist())) == (
            SAMPLES if "fewer" not in rows.key.subject else SAMPLES / 2
        )


def test_samples_beyond_those_that_grow_together_are_not_counted_as_saved(tmp_path: Path) -> None:
    """Every second query has eight samples, the others four: four grow together, of every query."""
    whole = Recording.load(write_grown(tmp_path / "whole", telling=True))
    rows = [
        row for row in whole.sample_table.to_pylist() if row["sample_idx"] < 4 or int(row["query_id"][1:]) % 2
    ]
    queries = pa.table(
        {
            "query_id": [query.query_id for query in whole.queries],
            "query": [query.query for query in whole.queries],
        }
    )
    table = pa.Table.from_pylist(rows, whole.sample_table.schema)
    write_recording(
        tmp_path / "uneven", RecordingMeta(name="uneven", prices={"one": Prices(1.0, 1.0)}), queries, table
    )
    group = group_of(tmp_path / "uneven")
    assert group.last.shape == (QUERIES, 4)
    assert mean(figures_of(group, "fewer@half"), "fewer@half", "tokens_saved") == pytest.approx(50, abs=3)


def test_every_figure_comes_out_of_the_decisions_file_again(telling: Together, tmp_path: Path) -> None:
    with DecisionsFile(tmp_path / "out.parquet") as file:
        for rows in pruned(telling, "prune@stated", "prune@stated", 0):
            file.write(rows, telling.recording)
    again = PrunedFigures(telling.recording)
    for rows in read_decisions(tmp_path / "out.parquet", {"telling": telling.recording}):
        np.testing.assert_allclose(rows.cost, cost_of_samples(rows, telling.recording), rtol=1e-12)
        again.take(rows)
    assert again.figures() == figures_of(telling, "prune@stated")


def test_every_order_is_another_and_the_same_seed_gives_the_same(telling: Together) -> None:
    blocks = list(pruned(telling, "prune@random", "prune@random", 3))
    again = list(pruned(telling, "prune@random", "prune@random", 3))
    assert [block.key.draw for block in blocks] == list(range(ORDERS))
    assert all((one.sample_row == two.sample_row).all() for one, two in zip(blocks, again, strict=True))
    assert len({block.sample_row.tobytes() for block in blocks}) == ORDERS


def test_recordings_of_one_sample_per_query_have_nothing_to_prune() -> None:
    assert together(Recording.load(RECORDINGS / "house-traces"), "large-check") is None


@pytest.fixture(scope="module")
def shipped() -> Recording:
    return Recording.load(RECORDINGS / VOTES.name)


def test_the_shipped_recording_has_eight_samples_of_a_hundred_queries_and_their_check_points(
    shipped: Recording,
) -> None:
    group, seen = together(shipped, VOTES.backend), shipped.columns
    assert group is not None and group.last.shape[0] >= 100 and group.last.shape[1] == VOTES.samples
    assert (seen.prefix_tokens[~seen.finished] % EVERY == 0).all()
    assert np.isfinite(seen.reward).all()
    assert (~seen.finished).sum() / seen.finished.sum() >= 4


def test_the_shipped_recording_is_small() -> None:
    assert sum(file.stat().st_size for file in (RECORDINGS / VOTES.name).iterdir()) < 1e6
