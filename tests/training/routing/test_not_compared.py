"""Backends that are left out of a comparison are named, with the share of queries on which they have labels."""

from __future__ import annotations

import io
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from router.recording import Recording
from router.recordings.cost import Prices
from router.recordings.format import RecordingMeta, write_recording
from training.benchmark_table import print_tables
from training.errors import NotEnoughData
from training.suites import Run
from training.suites.allocation.problem import allocation_problem
from training.suites.budget.suite import Budget
from training.suites.ope.suite import OffPolicy
from training.suites.routing.problem import LEAST_QUERIES, routing_problem
from training.suites.routing.suite import Routing


def with_backends(made: ModuleType, folder: Path, missing: dict[str, set[int]]) -> Recording:
    """80 queries: `small` and `large` on all, others without the rows of some queries."""
    plain = made.write_pattern(folder / "plain", 80, answers=False)
    queries, samples = (pq.read_table(plain / f"{name}.parquet") for name in ("queries", "samples"))
    ids = queries.column("query_id").to_pylist()
    rows = samples.filter(pc.equal(samples.column("backend"), "large"))
    tables = [samples]
    for name, places in missing.items():
        lacking = pa.array([ids[place] for place in places], pa.string())
        there = rows.filter(pc.invert(pc.is_in(rows.column("query_id"), value_set=lacking)))
        column = there.column_names.index("backend")
        tables.append(there.set_column(column, "backend", pa.array([name] * len(there))))
    meta = RecordingMeta(name="holes", prices=dict.fromkeys(("small", "large", *missing), Prices(0.1, 0.2)))
    write_recording(folder / "holes", meta, queries, pa.concat_tables(tables))
    return Recording.load(folder / "holes")


def test_a_backend_with_labels_on_two_fifths_is_named_in_figures_and_table(
    made: ModuleType, tmp_path: Path
) -> None:
    recording = with_backends(made, tmp_path, {"rare": set(range(48)), "all": set()})
    suite = Routing(subjects=("always", "zero_router"))
    figures = suite.run(recording, tmp_path / "holes", Run(workers=1))
    for told in figures.values():  # a figure of every subject, like the queries that are left out
        assert told["left_out/rare"] == pytest.approx(0.4)
        assert "left_out/all" not in told
    assert "always:rare" not in figures
    written = io.StringIO()
    print_tables("routing", {"holes": figures}, Console(file=written, width=200))
    said = written.getvalue()
    assert said.count("not compared (labels on so many of the labelled queries): rare 40 %\n") == 1
    assert "left_out/" not in said


def test_backends_that_each_miss_some_queries_do_not_empty_the_comparison(
    made: ModuleType, tmp_path: Path
) -> None:
    several = {f"b{turn}": set(range(10 * turn, 10 * turn + 10 + turn)) for turn in range(7)}
    problem = routing_problem(with_backends(made, tmp_path, several), 0)
    assert len(problem.queries) >= LEAST_QUERIES
    assert set(problem.not_compared) | set(problem.backends) == {"small", "large", *several}
    assert problem.not_compared
    assert max(problem.not_compared.values()) <= 1 - len(several["b0"]) / 80
    assert np.isfinite(problem.reward).all()


def test_too_few_backends_are_told_with_what_each_has(made: ModuleType, tmp_path: Path) -> None:
    recording = with_backends(made, tmp_path, {"rare": set(range(48))})
    seen = recording.columns
    seen.reward[(seen.backend == recording.backends.index("large")) & (seen.query < 60)] = np.nan
    with pytest.raises(NotEnoughData, match=r"large 25 %.*rare 40 %|rare 40 %.*large 25 %"):
        routing_problem(recording, 0)


def test_of_a_hundred_backends_a_message_and_a_table_name_the_first_few_and_count_the_others(
    made: ModuleType, tmp_path: Path
) -> None:
    rare = {f"b{turn:03}": set(range(45 + turn % 30)) for turn in range(100)}
    recording = with_backends(made, tmp_path, rare)
    figures = Routing(subjects=("always",)).run(recording, tmp_path / "holes", Run(workers=1))
    assert sum(name.startswith("left_out/") for name in figures["always:small"]) == 100
    written = io.StringIO()
    print_tables("routing", {"holes": figures}, Console(file=written, width=200))
    assert "): b000 44 %, b030 44 %, b060 44 %, b090 44 %, b001 42 % and 95 more\n" in written.getvalue()
    seen = recording.columns
    seen.reward[seen.backend == recording.backends.index("large")] = np.nan
    with pytest.raises(NotEnoughData, match=r"\(small 100 %, .* and 97 more\)"):
        routing_problem(recording, 0)
    with pytest.raises(NotEnoughData, match=r"has (\S+ 1, ){4}\S+ 1 and 97 more$"):
        allocation_problem(with_backends(made, tmp_path, {name: set() for name in rare}), 0)


def test_budget_names_what_it_does_not_compare(made: ModuleType, tmp_path: Path) -> None:
    recording = with_backends(made, tmp_path, {"rare": set(range(48))})
    figures = Budget(("steady", "outage"), 0.1).run(recording, tmp_path / "holes", Run(workers=1))
    for told in figures.values():
        assert told["left_out/rare"] == pytest.approx(0.4)
        assert told["left_out"] == 0


def test_ope_names_the_backends_beyond_its_six_too(made: ModuleType, tmp_path: Path) -> None:
    recording = with_backends(
        made, tmp_path, {f"b{turn}": set() for turn in range(5)} | {"rare": set(range(48))}
    )
    figures = OffPolicy(explorations=(0.3,), sizes=(200,), runs=2).run(recording, None, Run(workers=1))
    for told in figures.values():
        shares = [float(str(value)) for name, value in told.items() if name.startswith("left_out/")]
        assert sorted(shares) == [pytest.approx(0.4), 1.0]  # seven have labels everywhere
