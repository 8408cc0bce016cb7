"""Pages of Markdown, and a desk where what they say is typed: a network of its own, model servers, queries, a checkout."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).resolve().parents[2]
HOUSE = ROOT / "training" / "recordings" / "house"
QUERIES = 24
READY = """
for _ in $(seq 300); do apportion --wait 0 status >/dev/null 2>&1 && break; sleep 0.2; done
"""
PLAYING = r"""\1
for _ in $(seq 300); do curl --silent http://127.0.0.1:\2/health && break; sleep 0.2; done"""
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SERVE = "apportion serve --config router.toml --http-listen 127.0.0.1:8080 &\n"


def blocks(text: str, *languages: str) -> list[tuple[str, str]]:
    """(language, text) of the fenced blocks in order; without languages: all."""
    return [(kind, body) for kind, body in BLOCK.findall(text) if not languages or kind in languages]


def edited(config: str, change: str) -> str:
    """router.toml as a reader would have it after putting a page's block into it."""
    head, _, tables = re.sub(r"(?m)^(?=\[)", "\0", change, count=1).partition("\0")
    for key in tomllib.loads(head):
        config = re.sub(rf"(?m)^{key} = .*\n", "", config, count=1)
    for name in re.findall(r"(?m)^\[([\w.]+)\]", tables):
        config = re.sub(rf"(?ms)^\[{re.escape(name)}\][^\n]*\n.*?(?=^\[|\Z)", "", config)
    return f"{head}\n{config}\n{tables}"


@dataclass
class Desk:
    """A folder with a stranger's queries, two model servers at 8001 and 8002, and what was typed so far."""

    folder: Path
    alone: list[str]
    script: list[str] = field(default_factory=list)

    def type(self, text: str) -> None:
        """More lines of the script; service and stub servers are waited for wherever they are started."""
        text = re.sub(r"(?m)^(.*\bapportion stub-server\b.*--port (\d+).* &)$", PLAYING, text)
        self.script.append(re.sub(r"(?m)^(.*\bapportion serve\b.* &)$", rf"\1{READY}", text))

    def type_page(self, text: str) -> None:
        """All that a page says to type, to write into router.toml, or to run with Python."""
        for number, (kind, body) in enumerate(blocks(text, "sh", "toml", "python")):
            if kind == "sh":
                self.type(body)
            else:
                place = self.folder / f"{len(self.script)}-{number}.{kind}"
                place.write_text(body)
                command = f"python {place}" if kind == "python" else f"python {__file__} {place} router.toml"
                self.type(command + "\n")

    def run(self, timeout_s: float) -> str:
        """Everything, one command after the other; what was said. Fails with the end of it."""
        tools = str(Path(sys.executable).parent)
        log = self.folder / "said.log"
        begin = "PS4='+ $SECONDS s: '\nset -eu\ntrap 'kill $(jobs -p) $(cat servers.pid 2>/dev/null) 2>/dev/null || true' EXIT\n"
        with log.open("wb") as said:
            ran = subprocess.Popen(
                [*self.alone, "bash", "-xc", begin + "".join(self.script)],
                cwd=self.folder,
                env={"PATH": f"{tools}:{os.environ['PATH']}", "HOME": str(self.folder), "LANG": "C.UTF-8"},
                stdout=said,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
            try:
                ran.wait(timeout_s)
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(ran.pid, signal.SIGKILL)  # whatever the script has left behind
                ran.wait()
        text = log.read_text(errors="replace")
        assert ran.returncode == 0, text[-5000:]
        assert "Traceback" not in text, text[-5000:]
        return text


@pytest.fixture(scope="session")
def alone() -> list[str]:
    """A command that gives a command a network of its own; skips where that is not allowed."""
    mine = ["unshare", "--net"] if os.getuid() == 0 else ["unshare", "--user", "--map-root-user", "--net"]
    if (
        not shutil.which("unshare")
        or subprocess.run([*mine, "true"], capture_output=True, check=False).returncode
    ):
        pytest.skip("this machine lets nobody have a network of their own: the pages' ports may be taken")
    return [*mine, sys.executable, str(Path(__file__).with_name("alone.py"))]


@pytest.fixture
def desk(tmp_path: Path, alone: list[str]) -> Desk:
    """Each server plays one model of the recording, and makes words up for what is not in it."""
    rows = pq.read_table(HOUSE / "queries.parquet").to_pylist()[:QUERIES]
    texts = b"\n".join(msgspec.json.encode({"query": row["query"]}) for row in rows)
    (tmp_path / "queries.jsonl").write_bytes(texts)
    (tmp_path / "training").symlink_to(ROOT / "training")  # the recording that ships
    desk = Desk(tmp_path, alone)
    for name, port in (("small", 8001), ("large", 8002)):
        plays = f"--recording {HOUSE} --model {name} --made-up --port {port}"
        # no job of the reader's shell: `kill %1` is what the page starts first
        desk.type(f"( python -m router.backends.stub_server {plays} >{name}.log & echo $! >>servers.pid )\n")
    desk.type("for _ in $(seq 300); do [ -s small.log ] && [ -s large.log ] && break; sleep 0.2; done\n")
    return desk


@pytest.fixture
def page() -> Callable[[str], str]:
    """The text of a page of router/docs, or of the project's folder."""

    def read(name: str) -> str:
        place = ROOT / "router" / "docs" / name
        return (place if place.exists() else ROOT / name).read_text()

    return read


@pytest.fixture
def edit() -> Callable[[str, str], str]:
    return edited


if __name__ == "__main__":
    change, config = (Path(name) for name in sys.argv[1:])
    config.write_text(edited(config.read_text(), change.read_text()))
