"""The locks hold what pyproject.toml asks for, in one version each."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = {"core": PROJECT["dependencies"], **PROJECT["optional-dependencies"]}
TOGETHER = sorted(set(EXTRAS) - {"vllm"})  # the extras that share an environment


def lock(extra: str) -> list[Requirement]:
    lines = (ROOT / "locks" / f"{extra}.txt").read_text().splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize("extra", sorted(EXTRAS))
def test_a_lock_pins_everything_that_its_extra_asks_for(extra: str):
    asked = {canonicalize_name(Requirement(line).name) for line in EXTRAS[extra]}
    assert asked <= {canonicalize_name(pin.name) for pin in lock(extra)}


@pytest.mark.parametrize("extra", sorted(EXTRAS))
def test_a_pin_is_an_exact_version_within_the_range_asked_for(extra: str):
    pins = lock(extra)
    assert all(re.fullmatch(r"==[^*]+", str(pin.specifier)) for pin in pins)
    ranges = {canonicalize_name(item.name): item.specifier for item in map(Requirement, EXTRAS[extra])}
    chosen = {(pin.name, str(pin.specifier)[2:]) for pin in pins if canonicalize_name(pin.name) in ranges}
    assert not {
        (name, found)
        for name, found in chosen
        if not ranges[canonicalize_name(name)].contains(found, prereleases=True)
    }


def test_extras_that_are_installed_together_agree_on_every_version():
    versions: dict[tuple[str, str], set[str]] = {}
    for extra in TOGETHER:
        for pin in lock(extra):
            versions.setdefault((pin.name, str(pin.marker or "")), set()).add(str(pin.specifier))
    assert not {name: found for name, found in versions.items() if len(found) > 1}


@pytest.mark.parametrize("extra", TOGETHER)
def test_no_lock_but_the_model_servers_brings_in_torch(extra: str):
    assert "torch" not in {pin.name for pin in lock(extra)}


def test_the_service_never_asks_for_a_runtime_older_than_what_generated_the_wire():
    """Generated code refuses to load under an older grpcio or protobuf."""
    generated = ROOT / "router" / "v1"
    grpc = re.search(
        r"GRPC_GENERATED_VERSION = '([^']+)'", (generated / "apportion_router_pb2_grpc.py").read_text()
    )
    protobuf = re.search(
        r"Protobuf Python Version: (\S+)", (generated / "apportion_router_pb2.py").read_text()
    )
    assert grpc is not None
    assert protobuf is not None
    lowest = {
        item.name: max(Version(part.version) for part in item.specifier if part.operator == ">=")
        for item in map(Requirement, PROJECT["dependencies"])
        if item.name in {"grpcio", "protobuf"}
    }
    assert lowest["grpcio"] >= Version(grpc[1])
    assert lowest["protobuf"] >= Version(protobuf[1])


def test_the_environment_holds_the_locked_version_of_the_generator():
    pins = {pin.name: str(pin.specifier)[2:] for pin in lock("dev")}
    assert version("grpcio-tools") == pins["grpcio-tools"]
