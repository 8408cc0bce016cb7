"""Texts of models that LightGBM's loader would end the process over, or read other memory by: refused before it."""

from __future__ import annotations

import re

import numpy as np
import pytest

from predictors.errors import BundleError
from predictors.tree_text import trees_of
from predictors.trees import Trees


@pytest.fixture(scope="module")
def model() -> str:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 5)).astype(np.float32)
    trees = Trees(rounds=8, leaves=6).fit(x, (x[:, 0] > 0).astype(float), np.ones(300), seed=0)
    return trees.arrays()["model"].tobytes().decode()


def test_what_is_left_is_the_header_and_the_trees_and_predicts_the_same(model: str) -> None:
    kept = trees_of(model)
    assert model.startswith(kept)
    assert "parameters:" not in kept
    assert trees_of(kept) == kept
    x = np.random.default_rng(1).normal(size=(50, 5)).astype(np.float32)
    whole, part = (
        Trees.from_arrays({"model": np.frombuffer(text.encode(), np.uint8)}) for text in (model, kept)
    )
    assert whole.predict(x).tolist() == part.predict(x).tolist()


def test_a_tree_of_one_leaf_is_a_tree() -> None:
    x = np.random.default_rng(2).normal(size=(60, 3)).astype(np.float32)
    trees = Trees(rounds=3).fit(x, np.full(60, 0.25), np.ones(60), seed=0)
    assert trees.predict(x[:2]) == pytest.approx([0.25, 0.25])


@pytest.mark.parametrize(
    ("what", "instead", "why"),
    [
        (r"^Tree=3$", "Tryy=3", "tree 3 is not where tree_sizes say"),
        (r"^Tree=3$", "Tree=33", "tree 3 is not where tree_sizes say"),
        (r"^tree_sizes=\d+ ", "tree_sizes=99999999 ", "tree 0: its lines"),
        (r"^tree_sizes=\d+ ", "tree_sizes=", "tree 0: its lines"),
        (r"^tree_sizes=\d+ ", "tree_sizes=0 ", "tree 0 is not where"),
        (r"^tree_sizes=.*$", "tree_sizes=x", "tree_sizes are not whole numbers"),
        (r"^tree_sizes=(.*) \d+$", r"tree_sizes=\1", "does not end"),
        (r"^num_class=1$", "num_class=3", "num_class is '3'; 1 is expected"),
        (r"^objective=cross_entropy$", "objective=binary", "objective is 'binary'"),
        (r"^max_feature_idx=4$", "max_feature_idx=-4", "max_feature_idx is '-4'"),
        (r"^label_index=0$", "label_index=0\nlabel_index=0", "cut or is none"),
        (r"\n\nTree=0\n", "\n\nnum_class=9\nTree=0\n", "cut or is none"),
        (r"^leaf_value=", "leaf_valve=", "tree 0: its lines are"),
        (r"^num_leaves=\d+$", "num_leaves=99", "split_feature has not 98 numbers"),
        (r"^num_leaves=\d+$", "num_leaves=999999999", "only trees of numbers"),
        (r"^num_leaves=\d+$", "num_leaves=-1", "num_leaves is '-1'"),
        (r"^num_leaves=\d+$", "num_leaves=1", "split_feature has not 0 numbers"),
        (r"^num_cat=0$", "num_cat=1", "only trees of numbers"),
        (r"^is_linear=0$", "is_linear=1", "constant leaves"),
        (r"^threshold=\S+", "threshold=0x10", "threshold has not"),
        (r"^threshold=\S+", "threshold=١", "cut or is none"),
        (r"^threshold=\S+", "threshold=1e999", "threshold is not finite"),
        (r"^leaf_value=\S+", "leaf_value=nan", "leaf_value has not"),
        (r"^leaf_count=\S+", "leaf_count=1 1", "leaf_count has not"),
        (r"^shrinkage=.*$", "shrinkage=1 1", "shrinkage is no number"),
        (r"^split_feature=\S+", "split_feature=5", "outside of 5"),
        (r"^split_feature=\S+", "split_feature=-1", "outside of 5"),
        (r"^decision_type=\S+", "decision_type=1", "not that of a threshold"),
        (r"^left_child=\S+", "left_child=9999", "form no tree"),
        (r"^left_child=\S+", "left_child=0", "form no tree"),
        (r"^left_child=\S+", "left_child=-9999", "form no tree"),
    ],
)
def test_what_the_library_does_not_write_is_refused(model: str, what: str, instead: str, why: str) -> None:
    damaged, found = re.subn(what, instead, model, count=1, flags=re.MULTILINE)
    assert found
    if not what.startswith(("^Tree=", "^tree_sizes", r"\n")):  # else the place of all others says it first
        damaged = resized(damaged)
    with pytest.raises(BundleError, match=re.escape(why)):
        Trees.from_arrays({"model": np.frombuffer(damaged.encode(), np.uint8)})


def test_nodes_in_a_circle_are_no_tree() -> None:
    x = np.random.default_rng(3).normal(size=(400, 2)).astype(np.float32)
    grown = Trees(rounds=1, leaves=4, features=1.0)
    trees = grown.fit(x, (x > 0).mean(axis=1), np.ones(400), seed=0)
    text = trees.arrays()["model"].tobytes().decode()
    # the root has two leaves, nodes 1 and 2 each other
    text = re.sub(r"left_child=.*", "left_child=-1 2 1", text)
    text = re.sub(r"right_child=.*", "right_child=-2 -3 -4", text)
    with pytest.raises(BundleError, match="form no tree"):
        trees_of(resized(text))


def resized(text: str) -> str:
    """The same, with the sizes of its trees as they are now."""
    sizes = [len(block) for block in re.findall(r"Tree=\d+\n.*?\n\n\n", text, flags=re.DOTALL)]
    return re.sub(r"tree_sizes=.*", f"tree_sizes={' '.join(map(str, sizes))}", text)
