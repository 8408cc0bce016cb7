"""Lines of keys in TOML text, against a document made with known lines."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.configuration.places import Path, find_places

HARD = '''# [not.a.table]
mode = "apply" # plans = [1]
"quoted key" = 'lit # eral'
text = """
[[plans]]
name = "not a plan" """
more = """a\\"""b"""""
raw = \'\'\'
x = 1 \'\'\'
when = 1979-05-27 07:32:00 # a date with a space
a . b . "c.d" = 1

[backends."small one"] # comment
urls = [ # first
  "http://a:1", # [x]

  "http://b:2",
]
[backends.large]
price = { in = 1, "out" = [1, { deep = 2 }] }

[[plans]]
name = "one"
stages = [
  { backend = "a" },
  { backend = "b", stop = { kind = "any_of", rules = [
     "x",
     "y"] } },
]
[plans.extra]
k = 1
[[plans]]
name = "two"
[[plans.inner]]
z = 1
[[plans.inner]]
z = 2
'''

KNOWN = {
    ("mode",): 2,
    ("quoted key",): 3,
    ("text",): 4,
    ("more",): 7,
    ("raw",): 8,
    ("when",): 10,
    ("a", "b", "c.d"): 11,
    ("a", "b"): 11,
    ("backends", "small one"): 13,
    ("backends", "small one", "urls"): 14,
    ("backends", "small one", "urls", 0): 15,
    ("backends", "small one", "urls", 1): 17,
    ("backends", "large", "price", "out", 1, "deep"): 20,
    ("plans",): 22,
    ("plans", 0): 22,
    ("plans", 0, "stages", 0, "backend"): 25,
    ("plans", 0, "stages", 1, "stop", "rules", 0): 27,
    ("plans", 0, "stages", 1, "stop", "rules", 1): 28,
    ("plans", 0, "extra", "k"): 31,
    ("plans", 1): 32,
    ("plans", 1, "name"): 33,
    ("plans", 1, "inner", 0, "z"): 35,
    ("plans", 1, "inner", 1): 36,
    ("plans", 1, "inner", 1, "z"): 37,
}


@pytest.mark.parametrize(("path", "line"), KNOWN.items(), ids=str)
def test_the_line_of_a_key_is_the_line_that_it_stands_on(path, line):
    assert find_places(HARD).line(path) == line


def test_windows_line_ends_do_not_shift_lines():
    assert find_places(HARD.replace("\n", "\r\n")).lines == find_places(HARD).lines


def test_everything_in_the_document_has_a_place():
    assert set(find_places(HARD).lines) >= set(_leaves(tomllib.loads(HARD)))


def test_a_key_that_is_not_there_falls_back_to_its_table():
    assert find_places(HARD).line(("plans", 1, "inner", 1, "nothing", 3)) == 36


def test_an_empty_text_has_only_its_first_line():
    assert find_places("").line(("plans", 0)) == 1


# Any document, written with one value per line, must give exactly the lines that it was written on.

_names = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=0, max_size=6)
_scalars = st.one_of(
    st.integers(-9, 9),
    st.booleans(),
    st.floats(allow_nan=False, allow_infinity=False).map(float),
    st.text(st.sampled_from("ab[]{}=#,.\"'\\ \n"), max_size=8),
)
_values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names, inner, max_size=3),
    max_leaves=6,
)
_documents = st.dictionaries(
    _names,
    _values | st.lists(st.dictionaries(_names, _values, max_size=3), min_size=1, max_size=3),
    max_size=4,
)


@settings(max_examples=200, deadline=None)
@given(_documents)
def test_the_lines_of_any_document_are_those_it_was_written_on(document):
    writer = _Writer()
    writer.tables(document)
    text = "\n".join(writer.rows) + "\n"
    assert tomllib.loads(text) == document
    found = find_places(text)
    assert {path: found.lines.get(path) for path in writer.lines} == writer.lines


class _Writer:
    """Writes TOML and remembers the lines."""

    def __init__(self) -> None:
        self.rows: list[str] = []
        self.lines: dict[Path, int] = {}

    def tables(self, document: dict[str, Any]) -> None:
        plain = {k: v for k, v in document.items() if not _tables(v) and not isinstance(v, dict)}
        self.pairs((), plain)
        for key, value in document.items():
            if key in plain:
                continue
            if isinstance(value, dict):
                self.row(f"[{_text(key)}]  # {{ x = 1", (key,))
                self.pairs((key,), value)
                continue
            for index, table in enumerate(value):
                self.row(f"[[ {_text(key)} ]]", (key, index))
                self.pairs((key, index), table)

    def pairs(self, table: Path, values: dict[str, Any]) -> None:
        for key, value in values.items():
            self.lines[(*table, key)] = len(self.rows) + 1
            self.value(f"{_text(key)} = ", (*table, key), value)
            self.rows[-1] += " # a = [1]"

    def value(self, before: str, path: Path, value: Any) -> None:
        if isinstance(value, list):
            self.rows.append(before + "[ # ]")
            for index, item in enumerate(value):
                self.lines[(*path, index)] = len(self.rows) + 1
                self.value("  ", (*path, index), item)
                self.rows[-1] += ", # ,"
            self.rows.append("]")
        else:
            self.rows.append(before + _inline(value))

    def row(self, text: str, path: Path) -> None:
        self.rows.append(text)
        self.lines[path] = len(self.rows)


def _tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_text(key)} = {_inline(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(_inline(item) for item in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return _text(value) if isinstance(value, str) else repr(value)


def _text(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _leaves(value: Any, path: Path = ()) -> list[Path]:
    here = [path] if path else []
    if isinstance(value, dict):
        return here + [leaf for key, item in value.items() for leaf in _leaves(item, (*path, key))]
    if isinstance(value, list):
        return here + [leaf for index, item in enumerate(value) for leaf in _leaves(item, (*path, index))]
    return here
