"""Stub servers that can and cannot do things, servers that are none, and `apportion` run in this process."""

from __future__ import annotations

import io
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import (
    redirect_stderr,
    redirect_stdout,
)
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from router.__main__ import commands
from router.backends.stub_process import StubProcess
from router.config import BackendConfig
from router.onboarding.findings import Abilities, Findings, Identity, Speed
from router.onboarding.first_plans import Surveyed
from router.onboarding.prices import prices_of
from router.onboarding.survey import Limits, survey

SCRIPT = """\
{"match": "number only", "reasoning": "Two and three make five.", "text": "5"}
{"match": "weather in Rome", "tool_calls": [{"name": "weather_now", "arguments": "{\\"city\\": \\"Rome\\"}"}]}
{"match": "Reply in JSON", "text": "{\\"sum\\": 5}"}
{"match": "long story", "text": "Once upon a time there was a river and a stone and a garden and a window."}
{"match": "comes first", "text": "The"}
"""
REFUSED = ("logprobs", "n", "tools", "response_format", "stream_options")


@dataclass
class Told:
    """How a command ended."""

    exit_code: int
    out: str
    err: str


@pytest.fixture
def apportion() -> Callable[..., Told]:
    """`apportion("init", "--quick")` as the command line does it."""

    def run(*arguments: str) -> Told:
        code, out, err = 0, io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            try:
                commands().main(list(arguments), prog_name="apportion")
            except SystemExit as ended:
                code = ended.code if isinstance(ended.code, int) else 0
        return Told(code, out.getvalue(), err.getvalue())

    return run


@pytest.fixture(scope="session")
def able(tmp_path_factory) -> Iterator[StubProcess]:
    """A server that does everything."""
    script = tmp_path_factory.mktemp("script") / "able.jsonl"
    script.write_text(SCRIPT)
    with StubProcess(
        "--script", str(script), "--model", "tiny-135M", "--max-model-len", "4096", "--hidden-states"
    ) as process:
        yield process


@pytest.fixture(scope="session")
def plain(tmp_path_factory) -> Iterator[StubProcess]:
    """A server that does nothing but complete."""
    refuse = [word for key in REFUSED for word in ("--refuse", key)]
    with StubProcess("--model", "plain-7B", "--no-prefix-cache", *refuse) as process:
        yield process


@pytest.fixture(scope="session")
def keyed() -> Iterator[StubProcess]:
    with StubProcess("--api-key", "open sesame") as process:
        yield process


@pytest.fixture(scope="session")
def two_models() -> Iterator[StubProcess]:
    with StubProcess("--model", "one", "--model", "two") as process:
        yield process


@pytest.fixture
def ask(request) -> Callable[..., Any]:
    """`await ask(url, …)` surveys a server."""

    async def run(url: str, *, seconds: float = 20.0, **config: Any) -> Findings:
        environ = config.pop("environ", {})
        return await survey(
            "small",
            BackendConfig(urls=(url,), **config),
            url,
            environ=environ,
            limits=Limits(seconds=seconds, tokens=24),
            rng=random.Random(request.node.nodeid),  # prompts that no other test has sent
        )

    return run


@pytest.fixture
def pages() -> Iterator[Callable[..., str]]:
    """`pages({"/v1/models": (200, "text/html", "…")})` gives the url of a server of these pages; else 404."""
    running: list[ThreadingHTTPServer] = []

    def serve(content: dict[str, tuple[int, str, str]]) -> str:
        class Page(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, kind, text = content.get(self.path, (404, "text/plain", "not here"))
                body = text.encode()
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET  # noqa: N815 (http.server's name)

            def log_message(self, *arguments: object) -> None:
                """Quietly."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        running.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield serve
    for server in running:
        server.shutdown()
        server.server_close()


@pytest.fixture
def surveyed() -> Callable[..., Surveyed]:
    """`surveyed("small", dollars=2.0, tokens_per_second=50.0)`: a server that does everything but what is said."""

    def make(name: str, dollars: float | None = None, **known: Any) -> Surveyed:
        def of(kind: Any, **defaults: Any) -> Any:
            return kind(**(defaults | {key: known.pop(key) for key in [*known] if key in kind.__slots__}))

        identity = of(
            Identity,
            name=name,
            url="http://127.0.0.1:1",
            model=f"model-of-{name}",
            models=(),
            context_tokens=8192,
            vllm=True,
            tokenize=True,
            metrics=True,
        )
        can = of(
            Abilities,
            logprobs=True,
            top_logprobs=20,
            several=True,
            tools=True,
            response_format=True,
            hidden_states=True,
        )
        speed = of(
            Speed,
            first_token_s=0.2,
            tokens_per_second=50.0,
            in_flight=4,
            tokens_per_second_busy=200.0,
            prompt_tokens_per_second=4000.0,
            stream_usage=True,
            prefix_cache=True,
            cached_time_share=0.25,
        )
        notes = known.pop("notes", ())
        assert not known, known
        return Surveyed(name, prices_of(dollars, speed), Findings(identity, can, speed, notes, 20, 3.0))

    return make
