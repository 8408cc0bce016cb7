"""Recordings at the edge of what has a meaning: nothing costs anything, one word in all, one text for all queries."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from router.recording import Recording
from router.recordings.cost import Prices
from router.recordings.format import RecordingMeta, write_recording
from training.figures.spread import Spread
from training.run_suite import Failed, Outcome, Skipped, run_suite
from training.suites import Run
from training.suites.routing.suite import Routing

pytestmark = pytest.mark.timeout(120)

Text = Callable[[int], str]
PRICED = Prices(0.1, 0.1)
FREE = Prices(0.0, 0.0)


@pytest.fixture
def measured(made: ModuleType, tmp_path: Path) -> Callable[[str, Text, Prices], Outcome]:
    """What a suite says of 80 queries with these texts, whose two backends have one price and show no answers."""

    def of(suite: str, text: Text, price: Prices) -> Outcome:
        plain = made.write_pattern(tmp_path / "plain", 80, answers=False)
        queries, samples = (pq.read_table(plain / f"{name}.parquet") for name in ("queries", "samples"))
        place = queries.column_names.index("query")
        texts = pa.array([text(number) for number in range(80)])
        meta = RecordingMeta(name="odd", prices={"large": price, "small": price})
        write_recording(tmp_path / "odd", meta, queries.set_column(place, "query", texts), samples)
        return run_suite(suite, [tmp_path / "odd"], Run(workers=1), None)["odd"]

    return of


def test_backends_that_cost_nothing_are_routed_to_the_best(
    measured: Callable[[str, Text, Prices], Outcome],
) -> None:
    found = measured("routing", lambda number: f"What is {number} and {number % 7}?", FREE)
    assert not isinstance(found, (Failed, Skipped)), found
    best, ours = found["always:large"]["accuracy"], found["apportion"]["accuracy"]
    assert isinstance(best, Spread)
    assert isinstance(ours, Spread)
    assert ours.mean >= best.mean


def test_texts_of_one_word_have_a_lookup(measured: Callable[[str, Text, Prices], Outcome]) -> None:
    found = measured("routing", lambda number: "word " * (1 + number), PRICED)
    assert not isinstance(found, (Failed, Skipped)), found
    assert {"lookup", "knn", "apportion"} <= set(found)


@pytest.mark.parametrize("suite", ["routing", "calibration"])
def test_one_text_for_all_queries_cannot_be_held_out_and_is_skipped(
    suite: str, measured: Callable[[str, Text, Prices], Outcome]
) -> None:
    found = measured(suite, lambda _: "What is it?", PRICED)
    assert isinstance(found, Skipped), found
    assert "the 80 queries of odd have 1" in found.why


def test_beside_a_task_of_nearly_all_queries_whole_tasks_are_held_out_where_others_teach(
    made: ModuleType, tmp_path: Path
) -> None:
    plain = made.write_pattern(tmp_path / "plain", 80, answers=False)
    queries, samples = (pq.read_table(plain / f"{name}.parquet") for name in ("queries", "samples"))
    tasks = pa.array(["usual" if number >= 6 else f"rare {number}" for number in range(80)])
    if "task" in queries.column_names:
        queries = queries.drop_columns(["task"])
    meta = RecordingMeta(name="odd", prices={"large": PRICED, "small": PRICED})
    write_recording(tmp_path / "odd", meta, queries.append_column("task", tasks), samples)
    suite = Routing(subjects=("always", "zero_router", "apportion:unseen"))
    found = suite.run(Recording.load(tmp_path / "odd"), tmp_path / "odd", Run(workers=1))
    assert found["zero_router"]["queries"] == 80
    assert 0 < float(str(found["apportion:unseen"]["queries"])) <= 6
