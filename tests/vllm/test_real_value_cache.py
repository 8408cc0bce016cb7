"""Value vectors are read as vLLM's own kernels write them, in every form that this processor knows."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from training.vllm_cpu.places import places

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600)]


def test_what_a_kernel_wrote_into_the_cache_is_what_is_read_token_by_token(tmp_path: Path) -> None:
    where = places()
    environ = os.environ | {
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "LD_PRELOAD": str(where.environment / "lib" / "libiomp5.so"),
        "VLLM_NO_USAGE_STATS": "1",
    }
    command = [str(where.python), str(Path(__file__).with_name("written_values.py"))]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environ, cwd=tmp_path)
    found = json.loads(done.stdout.splitlines()[-1])
    assert {"vec", "vec16", "heads first", "tokens first", "tokens first, 4 parts"} <= set(found)
    assert max(found.values()) == 0
