"""What of a LightGBM model's text may be handed to its library, which ends the process over a tree that it cannot read.

A tree whose header, lengths or numbers are wrong makes the loader (4.7) throw from a destructor: `abort`, no error.
Indices that are wrong are not looked at and read other memory. So every line that it believes is held against what
it writes itself for the models that are fitted here: trees of numbers, one output, no categories, no linear leaves.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from predictors.errors import BundleError

_END = "end of trees"
_MOST_LEAVES = 100_000
_HEADER = {"version": "v4", "num_class": "1", "num_tree_per_iteration": "1", "objective": "cross_entropy"}
_HEADER_KEYS = frozenset(
    (*_HEADER, "label_index", "max_feature_idx", "feature_names", "feature_infos", "tree_sizes")
)
_INTEGERS = re.compile(r"-?\d{1,9}(?: -?\d{1,9})*", re.ASCII)
_REALS = re.compile(r"{0}(?: {0})*".format(r"-?\d+(?:\.\d+)?(?:e[-+]?\d+)?"), re.ASCII)
_SPLITS = 0  # a number per inner node; there is one leaf more
_LEAVES = 1
# list -> its form, and whether it has a number per split or per leaf
_LISTS = {
    "split_feature": (_INTEGERS, _SPLITS),
    "split_gain": (_REALS, _SPLITS),
    "threshold": (_REALS, _SPLITS),
    "decision_type": (_INTEGERS, _SPLITS),
    "left_child": (_INTEGERS, _SPLITS),
    "right_child": (_INTEGERS, _SPLITS),
    "internal_value": (_REALS, _SPLITS),
    "internal_weight": (_REALS, _SPLITS),
    "internal_count": (_INTEGERS, _SPLITS),
    "leaf_value": (_REALS, _LEAVES),
    "leaf_weight": (_REALS, _LEAVES),
    "leaf_count": (_INTEGERS, _LEAVES),
}
_PLAIN = ("num_leaves", "num_cat", "is_linear", "shrinkage")
_KEYS = frozenset((*_PLAIN, *_LISTS))
_MISSING = frozenset(range(0, 12, 2))  # kinds of splits at a threshold, by how they treat what is missing


def trees_of(text: str) -> str:
    """The header and the trees, all that predictions need, without what else was written about the fit.

    Raises `BundleError` for a text that the library does not write.
    """
    start = text.find("\nTree=0\n") + 1
    header, blank, between = text[:start].partition("\n\n")
    lines = header.split("\n")
    said = dict(line.partition("=")[::2] for line in lines[1:])
    if (
        not text.isascii()
        or not start
        or not blank
        or between
        or lines[0] != "tree"
        or len(lines) != len(said) + 1
        or said.keys() != _HEADER_KEYS
    ):
        raise BundleError("lightgbm: the model's text is cut or is none")
    for name, value in _HEADER.items():
        if said[name] != value:
            raise BundleError(f"lightgbm: the model's {name} is {said[name][:40]!r}; {value} is expected")
    columns, sizes = _count(said["max_feature_idx"], "max_feature_idx") + 1, said["tree_sizes"]
    if not _INTEGERS.fullmatch(sizes):
        raise BundleError("lightgbm: the model's tree_sizes are not whole numbers")
    place = start
    for number, size in enumerate(map(int, sizes.split(" "))):
        head = f"Tree={number}\n"
        if size <= 0 or not text.startswith(head, place):
            raise BundleError(f"lightgbm: tree {number} is not where tree_sizes say")
        try:
            _check(text[place + len(head) : place + size], columns)
        except BundleError as error:
            raise BundleError(f"lightgbm: tree {number}: {error}") from error
        place += size
    if not text.startswith(_END, place):
        raise BundleError("lightgbm: after the last tree the model does not end")
    return f"{text[:place]}{_END}\n"


def _check(block: str, columns: int) -> None:
    """The lines of one tree over `columns` features."""
    lines = block.rstrip("\n").split("\n")
    said = dict(line.partition("=")[::2] for line in lines)
    if len(lines) != len(_KEYS) or said.keys() != _KEYS:
        raise BundleError(
            f"its lines are {', '.join(sorted(said))[:200]}; {', '.join(sorted(_KEYS))} are expected"
        )
    leaves = _count(said["num_leaves"], "num_leaves")
    if not 1 <= leaves <= _MOST_LEAVES or said["num_cat"] != "0" or said["is_linear"] != "0":
        raise BundleError("only trees of numbers with constant leaves are read")
    if not _REALS.fullmatch(said["shrinkage"]) or " " in said["shrinkage"]:
        raise BundleError("shrinkage is no number")
    _check_lists(said, leaves)
    if leaves > 1:
        _check_splits(said, leaves, columns)


def _check_lists(said: Mapping[str, str], leaves: int) -> None:
    """As many numbers as splits and leaves."""
    for name, (form, more) in _LISTS.items():
        values, expected = said[name], leaves - 1 + more
        if values.count(" ") + bool(values) != expected or (values and not form.fullmatch(values)):
            raise BundleError(f"{name} has not {expected} numbers")
    for name in ("threshold", "leaf_value"):
        if said[name] and not math.isfinite(sum(map(abs, map(float, said[name].split(" "))))):
            raise BundleError(f"{name} is not finite")


def _check_splits(said: Mapping[str, str], leaves: int, columns: int) -> None:
    """Every split is at a threshold of a feature that is there, every node and leaf below exactly one."""
    features = _numbers(said["split_feature"])
    if not 0 <= min(features) <= max(features) < columns:
        raise BundleError(f"split_feature names a feature outside of {columns}")
    if not _MISSING.issuperset(_numbers(said["decision_type"])):
        raise BundleError("decision_type is not that of a threshold")
    left, right = _numbers(said["left_child"]), _numbers(said["right_child"])
    below = sorted(left + right)
    if below != [*range(-leaves, 0), *range(1, leaves - 1)] or any(
        0 <= child <= parent for children in (left, right) for parent, child in enumerate(children)
    ):
        raise BundleError("its nodes and leaves form no tree")


def _count(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise BundleError(f"lightgbm: {name} is {text[:40]!r}; a whole number is expected")
    return int(text)


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(" ")]
