"""The Dockerfile copies what exists, runs without rights, and its health check asks what the server answers."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
import yaml
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

ROOT = Path(__file__).parents[2]
LINES = (ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines()


def instructions(name: str) -> list[str]:
    return [line.partition(" ")[2].strip() for line in LINES if line.startswith(f"{name} ")]


def copied() -> list[str]:
    """Sources that come from the checkout."""
    return [
        source
        for line in instructions("COPY")
        if not line.startswith("--from")
        for source in line.split()[:-1]
    ]


def test_something_is_copied():
    assert {"router/", "predictors/", "training/", "locks/", "pyproject.toml"} <= set(copied())


@pytest.mark.parametrize("source", copied())
def test_what_is_copied_exists_and_is_not_ignored(source: str):
    assert (ROOT / source).exists()
    assert f"!{source}" in (ROOT / ".dockerignore").read_text().splitlines()


def test_every_default_extra_has_a_lock():
    (extras,) = re.findall(r'^ARG EXTRAS="([^"]+)"$', "\n".join(LINES), re.MULTILINE)
    assert all((ROOT / "locks" / f"{extra}.txt").exists() for extra in extras.split())


def test_the_image_runs_as_the_user_of_the_manifest():
    deployment = yaml.safe_load((ROOT / "k8s/base/deployment.yaml").read_text())
    security = deployment["spec"]["template"]["spec"]["securityContext"]
    assert instructions("USER")[-1] == f"{security['runAsUser']}:{security['runAsGroup']}"


def test_the_manifest_and_the_image_serve_the_same_file():
    deployment = yaml.safe_load((ROOT / "k8s/base/deployment.yaml").read_text())
    assert deployment["spec"]["template"]["spec"]["containers"][0]["args"] == json.loads(
        instructions("CMD")[-1]
    )


@pytest.fixture
def health_server() -> Iterator[tuple[health.HealthServicer, int]]:
    servicer = health.HealthServicer()
    server = grpc.server(ThreadPoolExecutor(1))
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield servicer, port
    server.stop(None).wait()


@pytest.mark.parametrize(("status", "code"), [("SERVING", 0), ("NOT_SERVING", 1)])
def test_the_health_check_passes_only_while_the_server_serves(health_server, status: str, code: int):
    servicer, port = health_server
    servicer.set("", health_pb2.HealthCheckResponse.ServingStatus.Value(status))
    _, _, script = json.loads(instructions("HEALTHCHECK")[-1].partition("CMD ")[2])
    assert ":50051" in script
    run = subprocess.run(
        [sys.executable, "-c", script.replace(":50051", f":{port}")], capture_output=True, check=False
    )
    assert run.returncode == code, run.stderr
