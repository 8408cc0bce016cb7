"""What `kubectl kustomize` makes of an overlay."""

from __future__ import annotations

import functools
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

K8S = Path(__file__).parents[2] / "k8s"

Resource = dict[str, Any]


@functools.cache
def rendered(overlay: str) -> tuple[Resource, ...]:
    """All resources of an overlay. Skips where there is neither kubectl nor kustomize."""
    if kubectl := shutil.which("kubectl"):
        command = [kubectl, "kustomize"]
    elif kustomize := shutil.which("kustomize"):
        command = [kustomize, "build"]
    else:
        pytest.skip("there is neither kubectl nor kustomize")
    ran = subprocess.run([*command, str(K8S / overlay)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return tuple(yaml.safe_load_all(ran.stdout))


@pytest.fixture
def render() -> Callable[[str], tuple[Resource, ...]]:
    return rendered
