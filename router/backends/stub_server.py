"""An OpenAI-compatible model server without a model, in a process of its own: for tests, load runs and demos.

    apportion stub-server [--recording DIR | --script FILE] [--port P] [--pace X] [--fault KIND[:COUNT]] …
    python -m router.backends.stub_server …

It plays a recording, a script or made-up words at a set pace (0: at once, 1: as recorded), counts like vLLM, and
fails on demand: POST /stub/fault {"kind": "hang", "count": 1}. GET /stub/state shows what runs and what was aborted,
GET /stub/requests the last bodies, POST /stub/reset forgets everything. Listens on 127.0.0.1 only; port 0 takes a
free one. The first line on standard output says where it listens, as soon as it does.
"""

from __future__ import annotations

import argparse
import asyncio
import errno
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from router.backends.stub_engine import FAULTS, Engine
from router.backends.stub_play import PAGE, Play, limited, slowed
from router.backends.stub_schema import in_format
from router.backends.stub_states import leave_states
from router.backends.stub_texts import MadeUp, Played, Reply, Script, Texts, Unrecorded, words
from router.backends.stub_vectors import EmbeddingRequest, embeddings
from router.backends.stub_wire import StubRequest, Writer
from router.errors import ConfigError, RouterError, UnknownName
from router.recording import Recording

LARGEST_BODY = 64 * 1024 * 1024  # bytes; images come inside


@dataclass(frozen=True, slots=True)
class Abilities:
    """What the played server can do besides completing; the default is a plain vLLM."""

    max_model_len: int | None = None  # tokens, as /v1/models says it
    refuse: tuple[str, ...] = ()  # keys of a request that are answered with status 400
    prefix_cache: bool = True
    stream_interval: int = 1  # tokens per event at least
    hidden_states: bool = False  # replies name a file of hidden states, which is never written
    states: Path | None = None  # made-up states go here for requests that ask, as our connector leaves them


class StubServer:
    """Routes and the state behind them."""

    def __init__(
        self, texts: Texts, pace: float = 0.0, api_key: str = "", abilities: Abilities = Abilities()
    ) -> None:
        self.texts = texts
        self.pace = pace
        self.api_key = api_key
        self.abilities = abilities
        self.engine = Engine()

    def application(self) -> web.Application:
        """The routes."""
        app = web.Application(client_max_size=LARGEST_BODY)
        app.add_routes(
            [
                web.get("/health", self._health),
                web.get("/version", self._version),
                web.get("/metrics", self._metrics),
                web.get("/v1/models", self._models),
                web.post("/v1/chat/completions", self._complete),
                web.post("/v1/completions", self._complete),
                web.post("/tokenize", self._tokenize),
                web.post("/v1/embeddings", self._embed),
                web.get("/stub/state", self._state),
                web.get("/stub/requests", self._requests),
                web.post("/stub/fault", self._fault),
                web.post("/stub/reset", self._reset),
            ]
        )
        return app

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        self.engine.requests += 1
        body = await request.read()
        try:
            asked = msgspec.json.decode(body, type=StubRequest)
            sent = msgspec.json.decode(body, type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeError) as error:
            return _error(400, f"the request is not what it should be: {error}")
        trace = request.headers.get("traceparent")
        self.engine.seen.append(
            {"path": request.path, "body": sent} | ({"traceparent": trace} if trace else {})
        )
        if not self._has_key(request):
            return _error(401, "Unauthorized")
        for key in self.abilities.refuse:
            if sent.get(key) and (key, sent[key]) != ("n", 1):  # every server takes n = 1
                return _error(400, f"Unknown parameter: {key}")
        fault = self.engine.next_fault()
        early = await self._early(asked, fault)
        if early is not None:
            return early
        count = 1 if fault == "one_choice" else asked.n
        seed = self.engine.requests if asked.seed is None else asked.seed
        try:
            replies = tuple(self._reply(asked, seed + place, fault) for place in range(count))
        except UnknownName as error:
            return _error(422, str(error))  # of this text; the model is known
        return await self._play(request, asked, replies, fault)

    async def _early(self, asked: StubRequest, fault: str) -> web.Response | None:
        """What is answered without generating anything."""
        options = asked.stream_options or {}
        if fault.isdigit():
            return _error(int(fault), FAULTS[fault])
        if fault == "html":
            return web.Response(text=PAGE, content_type="text/html")
        if fault == "hang":
            with self.engine.sequences(asked.n):
                await asyncio.Event().wait()
        if fault == "no_stream_options" and options:
            return _error(400, "Extra inputs are not permitted: stream_options")
        if fault == "no_continuous_usage" and "continuous_usage_stats" in options:
            return _error(400, "Unknown parameter: stream_options.continuous_usage_stats")
        if asked.model not in self.texts.models:
            return _error(404, f"The model {asked.model!r} does not exist.")
        if asked.n < 1 or asked.limit < 1:
            return _error(400, f"n and max_tokens must be at least 1, got {asked.n} and {asked.limit}")
        return None

    def _reply(self, asked: StubRequest, seed: int, fault: str) -> Reply:
        said = self.texts.reply(asked.model, asked.whole_prompt, asked.question, seed)
        reply = limited(in_format(said, asked.response_format), asked, fault)
        return slowed(reply) if fault == "slow" else reply

    async def _play(
        self, request: web.Request, asked: StubRequest, replies: tuple[Reply, ...], fault: str
    ) -> web.StreamResponse:
        tokens_in = replies[0].tokens_in
        cached = 0
        if self.abilities.prefix_cache:
            cached = min(tokens_in, self.engine.look_up(words(asked.whole_prompt), asked.cache_salt))
        self.engine.prompt_tokens += tokens_in
        if self.abilities.states is not None:
            leave_states(self.abilities.states, asked.kv_transfer_params, replies, tokens_in)
        chat = request.path.endswith("/chat/completions")
        request_id = f"{'chatcmpl' if chat else 'cmpl'}-{self.engine.requests}"
        hidden = f"/nowhere/{request_id}.safetensors" if self.abilities.hidden_states else ""
        writer = Writer(asked, chat, request_id, tokens_in, cached, hidden)
        pace = (self.pace or 1.0) if fault == "slow" else self.pace
        interval = max(asked.stream_interval, self.abilities.stream_interval)
        play = Play(self.engine, writer, replies, pace, fault, interval)
        if asked.stream and fault != "no_stream":
            return await play.stream(request)
        return await play.whole()

    async def _tokenize(self, request: web.Request) -> web.Response:
        try:
            asked = msgspec.json.decode(await request.read(), type=StubRequest)
        except (msgspec.MsgspecError, UnicodeError) as error:
            return _error(400, f"the request is not what it should be: {error}")
        count = len(words(asked.whole_prompt))
        return _json({"count": count, "max_model_len": 1_000_000, "tokens": list(range(count))})

    async def _embed(self, request: web.Request) -> web.Response:
        body = await request.read()
        try:
            asked = msgspec.json.decode(body, type=EmbeddingRequest)
        except (msgspec.MsgspecError, UnicodeError) as error:
            return _error(400, f"the request is not what it should be: {error}")
        self.engine.seen.append({"path": request.path, "body": msgspec.json.decode(body)})
        fault = self.engine.next_fault()
        if fault.isdigit():
            return _error(int(fault), FAULTS[fault])
        return _json(embeddings(asked))

    async def _fault(self, request: web.Request) -> web.Response:
        try:
            asked = msgspec.json.decode(await request.read(), type=PlannedFault)
            self.engine.plan_fault(asked.kind, asked.count)
        except (msgspec.MsgspecError, ConfigError) as error:
            return _error(400, str(error))
        return _json(self.engine.state())

    async def _reset(self, request: web.Request) -> web.Response:
        self.engine.forget()
        return _json(self.engine.state())

    async def _health(self, request: web.Request) -> web.Response:
        return web.Response()

    async def _version(self, request: web.Request) -> web.Response:
        return _json({"version": "stub"})

    async def _metrics(self, request: web.Request) -> web.Response:
        return web.Response(text=self.engine.metrics(self.texts.models[0]))

    async def _models(self, request: web.Request) -> web.Response:
        if not self._has_key(request):
            return _error(401, "Unauthorized")
        length = self.abilities.max_model_len
        more = {} if length is None else {"max_model_len": length}
        models = [{"id": name, "object": "model", "owned_by": "stub"} | more for name in self.texts.models]
        return _json({"object": "list", "data": models})

    def _has_key(self, request: web.Request) -> bool:
        return not self.api_key or request.headers.get("Authorization") == f"Bearer {self.api_key}"

    async def _state(self, request: web.Request) -> web.Response:
        return _json(self.engine.state())

    async def _requests(self, request: web.Request) -> web.Response:
        return _json(list(self.engine.seen))


class PlannedFault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /stub/fault."""

    kind: str
    count: int = 1


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), status=status, content_type="application/json")


def _error(status: int, message: str) -> web.Response:
    return _json({"error": {"message": message, "type": "stub", "code": status}}, status)


async def serve(server: StubServer, port: int) -> None:
    """Listen until SIGTERM or SIGINT."""
    runner = web.AppRunner(
        server.application(),
        handler_cancellation=True,  # a client that leaves frees its sequences at once
        access_log=None,
        shutdown_timeout=0.5,
    )
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    host, bound = runner.addresses[0][:2]
    print(f"listening on http://{host}:{bound}", flush=True)  # noqa: T201 (whoever started it waits for this line)
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await stopped.wait()
    await runner.cleanup()


def main(arguments: Sequence[str] | None = None) -> None:
    """The command; exits with a sentence where the arguments or the recording are wrong."""
    parser = argparse.ArgumentParser(prog="apportion stub-server", description=__doc__.splitlines()[0])
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--recording", type=Path, help="folder; every backend of it is a model here")
    source.add_argument("--script", type=Path, help="a reply on every line: text, or JSON (see ScriptLine)")
    parser.add_argument(
        "--model",
        action="append",
        help="of the recording's backends (default: all), or any name (default: stub)",
    )
    parser.add_argument(
        "--made-up", action="store_true", help="answer texts that are not in the recording, and say so"
    )
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument(
        "--pace", type=float, default=0.0, help="0: at once, 1: as recorded, 2: twice as fast"
    )
    parser.add_argument(
        "--fault", action="append", default=[], metavar="KIND[:COUNT]", help=", ".join(FAULTS)
    )
    parser.add_argument("--api-key", default="", help="refuse requests without it")
    parser.add_argument("--max-model-len", type=int, help="what /v1/models says of every model")
    parser.add_argument(
        "--refuse", action="append", default=[], metavar="KEY", help="of requests: status 400"
    )
    parser.add_argument("--stream-interval", type=int, default=1, help="tokens per event at least, as vLLM's")
    parser.add_argument("--no-prefix-cache", action="store_true", help="read every prompt anew")
    parser.add_argument("--states", type=Path, help="leave made-up states in this folder")
    parser.add_argument("--hidden-states", action="store_true", help="name a file of them, and write none")
    options = parser.parse_args(arguments)
    if not 0.0 <= options.pace < float("inf"):
        parser.error(f"--pace: a number >= 0 is expected, got {options.pace}")
    models = tuple(options.model or ("stub",))
    try:
        texts: Texts = MadeUp(models)
        if options.recording:
            otherwise = Unrecorded(models) if options.made_up else None
            played = Recording.load(options.recording, hidden=False)
            texts = Played(played, tuple(options.model or ()), otherwise)
        elif options.script:
            texts = Script.read(options.script, models)
        abilities = Abilities(
            options.max_model_len,
            tuple(options.refuse),
            prefix_cache=not options.no_prefix_cache,
            stream_interval=options.stream_interval,
            hidden_states=options.hidden_states,
            states=options.states,
        )
        server = StubServer(texts, options.pace, options.api_key, abilities)
        for fault in options.fault:
            kind, _, count = fault.partition(":")
            server.engine.plan_fault(kind, int(count or 1))
    except (RouterError, OSError, ValueError) as error:
        parser.exit(2, f"stub-server: {error}\n")
    try:
        asyncio.run(serve(server, options.port))
    except OSError as error:
        why = (
            f"{options.port} is taken"
            if error.errno == errno.EADDRINUSE
            else f"{options.port}: {error.strerror}"
        )
        parser.exit(2, f"stub-server: --port {why}; choose another\n")


if __name__ == "__main__":
    main()
