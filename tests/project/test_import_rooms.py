"""Which file may know which library. import-linter checks our own layers; this checks the foreign ones, by file."""

from __future__ import annotations

import ast
import sys
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

WIRE = (
    "router/server.py",
    "router/client.py",
    "router/serving/*.py",
    "router/wire/*.py",
    "router/clients/*.py",
    "training/suites/serving/*.py",  # measures the wire: requests as bytes, and a bare server to compare with
)
HTTP_SERVERS = (
    "router/openai_door/*.py",
    "router/console/*.py",
    "router/telemetry/endpoint.py",
    "router/backends/stub*.py",
)

# A library, and the files that may import it. To add a room, add its pattern here and say why in the commit.
ROOMS: dict[str, tuple[str, ...]] = {
    "router.v1": WIRE,
    "google": WIRE,
    "grpc": WIRE,
    "grpc_health": WIRE,
    "grpc_reflection": WIRE,
    "grpc_status": WIRE,
    "aiohttp.web": HTTP_SERVERS,
    "aiohttp": (
        *HTTP_SERVERS,
        "router/backends/*.py",
        "router/connections/json_post.py",
        "training/collect/*.py",
        "training/openai_*.py",
        "training/suites/serving/*.py",  # streams straight from the model server, to compare with
    ),
    "jwt": ("router/auth/*.py",),
    "cryptography": ("router/auth/*.py", "router/rollout/signature.py"),
    "opentelemetry": ("router/telemetry/spans.py",),
    "mlflow": ("training/registry.py",),
    "sqlite3": ("router/decisions/*.py", "router/ledger/*.py"),
    "psycopg": ("router/decisions/*.py", "router/ledger/*.py", "router/connections/postgres_connection.py"),
    "torch": ("predictors/vllm/*.py", "training/vllm_cpu/*.py"),
    "vllm": ("predictors/vllm/*.py", "training/vllm_cpu/*.py"),
    "pickle": (),
    "joblib": (),
    "cloudpickle": (),
    "httpx": (),
    "requests": (),
    "pandas": (),
}


def modules(*folders: str) -> list[str]:
    paths = (path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return sorted(str(path.relative_to(ROOT)) for path in paths if "_pb2" not in path.name)


@cache
def imports(file: str) -> tuple[str, ...]:
    """Dotted names that a file imports, wherever in it: `from a import b` gives `a` and `a.b`."""
    found: list[str] = []
    for node in ast.walk(ast.parse((ROOT / file).read_text(), file)):
        if isinstance(node, ast.Import):
            found.extend(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            found.append(module)
            found.extend(f"{module}.{alias.name}" for alias in node.names)
    return tuple(found)


def knows(file: str, library: str) -> bool:
    return any(name == library or name.startswith(f"{library}.") for name in imports(file))


@pytest.mark.parametrize("library", sorted(ROOMS))
def test_a_library_stays_in_its_room(library: str):
    outside = [
        file
        for file in modules("router", "predictors", "training")
        if knows(file, library) and not any(fnmatch(file, room) for room in ROOMS[library])
    ]
    assert not outside, f"{library} may be imported by {', '.join(ROOMS[library]) or 'nobody'}"


def test_the_wire_and_the_server_are_known_to_doors_and_commands_only():
    """So that the allocator and its rooms run without gRPC: in replay, in tests, in another service."""
    doors = (
        *WIRE,
        "router/v1/*.py",
        "router/assemble*.py",
        "router/commands/*.py",
        "router/__main__.py",
        "training/*.py",
    )
    outside = [
        f"{file}: {name}"
        for file in modules("router", "predictors", "training")
        for name in imports(file)
        if fnmatch(name, "router.ser[a-z]*") or fnmatch(name, "router.wire*")
        if not any(fnmatch(file, door) for door in doors)
    ]
    assert not outside


def test_one_file_at_most_knows_mlflow():
    assert len([file for file in modules("router", "predictors", "training") if knows(file, "mlflow")]) <= 1


def test_what_runs_inside_the_model_server_imports_the_standard_library_torch_and_vllm_only():
    allowed = {*sys.stdlib_module_names, "torch", "vllm"}
    foreign = {
        f"{file}: {name}"
        for file in modules("predictors/vllm")
        for name in imports(file)
        if name.split(".")[0] not in allowed and not name.startswith("predictors.vllm")
    }
    assert not foreign


def test_the_reader_of_imports_sees_them_inside_functions_too(tmp_path: Path):
    file = tmp_path / "m.py"
    file.write_text("import a.b\ndef f():\n    from c import d\n")
    assert list(imports(str(file))) == ["a.b", "c", "c.d"]
