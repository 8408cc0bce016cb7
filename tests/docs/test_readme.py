"""What the README tells a stranger to type, typed: before stub servers that play real models' recorded answers."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import msgspec
import pyarrow.parquet as pq
import pytest

from router.backends.stub_process import StubProcess

ROOT = Path(__file__).resolve().parents[2]
HOUSE = ROOT / "training" / "recordings" / "house"
README = (ROOT / "README.md").read_text()
CONFTEST = Path(__file__).with_name("conftest.py")  # run: puts a block of a page into router.toml
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)
QUERIES = 40


def blocks(language: str, after: str) -> list[str]:
    """The fenced blocks of a language behind a heading."""
    return re.findall(rf"```{language}\n(.*?)```", README[README.index(after) :], re.DOTALL)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def desk(tmp_path):
    """A folder with a stranger's queries, and two model servers."""
    rows = pq.read_table(HOUSE / "queries.parquet").to_pylist()[:QUERIES]
    (tmp_path / "queries.jsonl").write_bytes(
        b"\n".join(msgspec.json.encode({"query": row["query"]}) for row in rows)
    )
    with StubProcess("--recording", str(HOUSE)) as small, StubProcess("--recording", str(HOUSE)) as large:
        example = (ROOT / "router.example.toml").read_text()
        example = example.replace("http://127.0.0.1:8001", small.url).replace(
            "http://127.0.0.1:8002", large.url
        )
        models = iter(("small", "large"))
        example = re.sub(
            r'^model = "[^"]*"', lambda _: f'model = "{next(models)}"', example, flags=re.MULTILINE
        )
        (tmp_path / "router.example.toml").write_text(example)
        yield tmp_path, small, large, rows[0]["query"]


@pytest.mark.timeout(1000)
def test_the_five_steps_work_as_written(desk):
    folder, small, large, asked = desk
    script = "set -eu\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n"
    for number, (language, body) in enumerate(BLOCK.findall(README[README.index("## Five steps") :])):
        if language == "toml":
            (folder / f"{number}.toml").write_text(body)
            script += f"{sys.executable} {CONFTEST} {number}.toml router.toml\n"
        elif language == "sh" and "apportion stub-server" not in body:  # the desk has its own
            script += body + "\n"
    assert script.count("apportion ") >= 12
    router, admin = (f"127.0.0.1:{free_port()}" for _ in range(2))
    ready = "\nfor _ in $(seq 300); do apportion --wait 0 status >/dev/null 2>&1 && break; sleep 0.2; done\n"
    script = (
        script.replace("http://127.0.0.1:8001", f"{small.url},model=small")
        .replace("http://127.0.0.1:8002", f"{large.url},model=large")
        .replace(
            "apportion serve",
            f"apportion serve --listen {router} --admin-listen {admin} --http-listen 127.0.0.1:0",
        )
        .replace(" &\n", " &" + ready)
        .replace("What is 17 + 25?", asked)
    )
    tools = str(Path(sys.executable).parent)
    env = {"PATH": f"{tools}:{os.environ['PATH']}", "HOME": str(folder)}
    env |= {"APPORTION_SERVER": router, "APPORTION_ADMIN": admin}
    log = folder / "said.log"
    with log.open("wb") as said:
        ran = subprocess.run(
            ["bash", "-xc", script + "\nkill %% && wait\n"],
            cwd=folder,
            env=env,
            stdout=said,
            stderr=subprocess.STDOUT,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=900,
        )
    assert ran.returncode == 0, log.read_text()[-4000:]
    assert "Traceback" not in log.read_text()
    assert (folder / "bundle" / "card.json").exists()


@pytest.mark.parametrize("code", blocks("python", "## From Python"))
def test_the_python_examples_compile_and_name_what_is_there(code):
    body = "\n".join(f"    {line}" for line in code.splitlines() if not line.startswith("from "))
    compile(f"async def example():\n{body}\n", "README.md", "exec")
    from router import client

    for line in code.splitlines():
        if line.startswith("from router.client import "):
            assert all(
                hasattr(client, name) for name in line.removeprefix("from router.client import ").split(", ")
            )


def test_every_link_leads_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("http") or (ROOT / target).exists(), target


@pytest.mark.parametrize("page", ["ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_every_file_that_a_page_names_is_there(page):
    text = re.sub(r"```.*?```", "", (ROOT / page).read_text(), flags=re.DOTALL)
    recipes = set(re.findall(r"`([\w/]+\.py)`:\n", text))
    for path in re.findall(r"`((?:router|predictors|training|tests|proto)/[\w./]*\w)`", text):
        if path not in recipes:
            assert (ROOT / path).exists(), f"{page} names {path}"
