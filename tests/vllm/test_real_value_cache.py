"""Value vectors are read as vLLM's own kernels write them, in every form that this processor knows, or refused."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from training.vllm_cpu.places import places

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `written_values.py` saw."""
    where = places()
    environ = os.environ | {
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "LD_PRELOAD": str(where.environment / "lib" / "libiomp5.so"),
        "VLLM_NO_USAGE_STATS": "1",
    }
    command = [str(where.python), str(Path(__file__).with_name("written_values.py"))]
    folder = tmp_path_factory.mktemp("values")
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environ, cwd=folder)
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return seen


def test_what_a_kernel_wrote_into_the_cache_is_what_is_read_token_by_token(found: dict[str, Any]) -> None:
    differences = found["differences"]
    assert {"vec", "vec16", "heads first", "tokens first", "tokens first, 4 parts"} <= set(differences)
    assert max(differences.values()) == 0


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("all alike", 0),
        ("full attention here and there", 1),
        ("a sliding window", "value vectors: layers = [1, 5]; choose from 2, 5"),
        ("two groups", "value vectors: layers = [1, 2]; choose from 0, 1; or 2, 3"),
        ("eight bits", "value vectors: layers = [1]; choose from none"),
        ("latent", "value vectors: layers = [1]; choose from none"),
        ("spread over ranks", "value vectors: context parallelism is not supported"),
    ],
)
def test_layers_are_read_where_all_their_tokens_are_kept_and_else_refused_by_name(
    found: dict[str, Any], case: str, said: int | str
) -> None:
    assert found["groups"][case] == said
