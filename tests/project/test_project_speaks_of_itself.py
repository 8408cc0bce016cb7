"""No committed text names a machine, a registry's host or an index."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Each pattern has a character class somewhere, so that this file does not find itself.
FORBIDDEN = {
    "a registry's host": r"(?:pypi|pythonhosted|npmjs|(?:deb|security)\.debian|proxy\.golang)[.](?:org|com|io)\b",
    "an index of packages": r"--(?:extra-)?index[-]url|--find[-]links|PIP_(?:EXTRA_)?INDEX[_]URL",
    "a machine's folder": r"(?<![\w.])/(?:work|root|opt|tmp/w)[/]\w",
    "a home folder": r"/home[/](?!app\b)[a-z]+",
}


def committed() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


@pytest.mark.skipif(
    not (ROOT / ".git").exists(), reason="not a checkout: there is no list of committed files"
)
@pytest.mark.parametrize("what", sorted(FORBIDDEN))
def test_no_committed_file_names(what: str):
    pattern = re.compile(FORBIDDEN[what])
    found = []
    for path in committed():
        text = path.read_bytes()
        if b"\0" in text[:4096]:
            continue  # a picture or a Parquet file
        lines = text.decode(errors="replace").splitlines()
        found += [
            f"{path.relative_to(ROOT)}:{n}: {line[:120]}"
            for n, line in enumerate(lines, 1)
            if pattern.search(line)
        ]
    assert not found


@pytest.mark.parametrize("what", sorted(FORBIDDEN))
def test_the_search_would_find(what: str):
    examples = {
        "a registry's host": "https://pypi" + ".org/simple",
        "an index of packages": "pip install --index" + "-url x",
        "a machine's folder": "open('/work" + "/main')",
        "a home folder": "/home/" + "ann/x",
    }
    assert re.search(FORBIDDEN[what], examples[what])
