"""One row through LightGBM's C library: the same number as its package gives, without importing the package."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from predictors.errors import BundleError
from predictors.tree_library import RowModel, address
from predictors.trees import Trees

ONE_ROW = """
import sys
import numpy as np
from predictors.trees import Trees
with np.load(sys.argv[1]) as arrays:
    trees = Trees.from_arrays(dict(arrays))
trees.row(np.zeros(trees.columns, dtype=np.float32))
print(sorted({"lightgbm", "pandas", "sklearn", "scipy"} & set(sys.modules)))
"""


@pytest.fixture(scope="module")
def trees() -> Trees:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 5)).astype(np.float32)
    return Trees(rounds=20).fit(x, (x[:, 0] > 0).astype(float), np.ones(400), seed=0)


def test_a_row_is_predicted_without_the_package_and_all_that_it_brings_along(
    trees: Trees, tmp_path: Path
) -> None:
    np.savez(tmp_path / "trees.npz", **trees.arrays())  # type: ignore[arg-type]  # of numpy's stub
    command = [sys.executable, "-c", ONE_ROW, str(tmp_path / "trees.npz")]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "[]\n"


def test_a_row_at_an_address_is_the_row_and_what_stands_behind_it_does_not_matter(trees: Trees) -> None:
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(50, 9)).astype(np.float32)
    found = [trees.row_at(address(row)) for row in rows]
    assert found == trees.predict(rows[:, :5]).tolist()


def test_many_rows_are_predicted_as_by_the_package(trees: Trees) -> None:
    import lightgbm

    x = np.random.default_rng(2).normal(size=(300, 5)).astype(np.float32)
    booster = lightgbm.Booster(model_str=trees.arrays()["model"].tobytes().decode())
    assert trees.predict(x).tolist() == np.clip(booster.predict(x), 0.0, 1.0).tolist()


def test_rows_that_do_not_stand_side_by_side_are_predicted_all_the_same(trees: Trees) -> None:
    x = np.random.default_rng(3).normal(size=(40, 10)).astype(np.float32)
    assert trees.predict(x[::2, 5:]).tolist() == trees.predict(x[::2, 5:].copy()).tolist()


def test_trees_that_read_columns_are_those_that_read_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(4).normal(size=(900, 12)).astype(np.float32)
    y, weight, found = (x[:, 0] * x[:, 1] > 0).astype(float), np.ones(900), []
    for few in (0.0, 1.0):
        monkeypatch.setattr("predictors.trees._FEW", few)
        found.append(Trees(rounds=30, features=0.3).fit(x, y, weight, seed=1).predict(x).tolist())
    assert found[0] == found[1]


def test_a_function_of_rows_outlives_its_model(trees: Trees) -> None:
    row = RowModel(trees.arrays()["model"].tobytes().decode()).row()
    x = np.full(5, 0.25, dtype=np.float32)
    assert [row(address(x)) for _ in range(100)] == [trees.row(x)] * 100


@pytest.mark.parametrize("x", [np.zeros(5), np.zeros((5, 2), dtype=np.float32)[:, 0]])
def test_only_contiguous_rows_of_single_precision_have_an_address(x: np.ndarray) -> None:
    with pytest.raises(ValueError, match="contiguous float32"):
        address(x)


def test_a_text_that_is_no_model_is_refused_with_what_the_library_says() -> None:
    with pytest.raises(BundleError, match="lightgbm: the model's text cannot be read"):
        RowModel("tree\nversion=v4\nend of trees\n")
