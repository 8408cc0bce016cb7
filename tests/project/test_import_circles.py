"""No module needs itself: whoever reads one file need not have read another one that needs it in turn."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("predictors", "router", "training")

ALLOWED = [
    # A sample head may hold one that sees hidden states, and that one is made of a sample head and probes.
    {"predictors.sample_head", "predictors.state_head"},
]


def modules(root: Path) -> dict[str, Path]:
    """Dotted name -> file; a folder goes by its own name."""
    paths = (path for package in PACKAGES for path in (root / package).rglob("*.py"))
    return {
        ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path
        for path in paths
        if "_pb2" not in path.name
    }


def imported(path: Path, known: Mapping[str, Path]) -> Iterator[str]:
    """Our modules that a file names, wherever in it: also where only types are wanted, or when a function runs.

    A door (`__init__.py`) may name types of its folder: what its contract takes and gives is at home there.
    """
    tree = ast.parse(path.read_text())
    if path.name == "__init__.py":
        tree.body = [node for node in tree.body if not isinstance(node, ast.If)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module:
            inside = {f"{node.module}.{alias.name}" for alias in node.names} & known.keys()
            yield from inside
            if len(inside) < len(node.names) and node.module in known:
                yield node.module


def circles(root: Path) -> list[set[str]]:
    """Sets of modules of which each needs, by whatever way, all others of its set."""
    known = modules(root)
    needs = {name: set(imported(path, known)) - {name} for name, path in known.items()}
    while needs:  # whoever needs nothing that is left, or is needed by nothing, is in no circle
        needed = set().union(*needs.values())
        loose = {name for name, targets in needs.items() if not targets or name not in needed}
        if not loose:
            break
        needs = {name: targets - loose for name, targets in needs.items() if name not in loose}
    reached = {name: reach(name, needs) for name in needs}
    sets = {frozenset(other for other in reached[name] if name in reached[other]) for name in needs}
    return [set(one) for one in sets if len(one) > 1]


def reach(start: str, needs: Mapping[str, set[str]]) -> set[str]:
    """Everything that `start` needs, by whatever way."""
    found: set[str] = set()
    ahead = set(needs[start])
    while ahead:
        found |= ahead
        ahead = set().union(*(needs[name] for name in ahead)) - found
    return found


def test_no_modules_need_each_other_but_those_that_are_allowed_to():
    assert sorted(map(sorted, circles(ROOT))) == sorted(map(sorted, ALLOWED))


def test_a_circle_is_found_whatever_its_length_and_wherever_it_is_imported(tmp_path):
    package = tmp_path / "router"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "one.py").write_text("from router import two\n")
    (package / "two.py").write_text("def later():\n    from router.three import name\n")
    (package / "three.py").write_text("if TYPE_CHECKING:\n    import router.one\n")
    (package / "outside.py").write_text("from router.one import name\n")
    (package / "lonely.py").write_text("")
    assert circles(tmp_path) == [{"router.one", "router.two", "router.three"}]
