"""One vLLM server on the CPU as a process of its own: started, waited for, stopped with all its children."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from predictors.vllm.flags import server_flags
from training.errors import TrainingError
from training.vllm_cpu.environment import cpu_flags
from training.vllm_cpu.models import Model, model_named
from training.vllm_cpu.places import Places, places

BATCH_TOKENS = 4096  # at least the context: without chunked prefill a prompt is one step
CONTEXT = 2048


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How one server runs; `port` 0: any free one."""

    port: int = 0
    threads: int = 0  # 0: half of the cores, at least one, so that two servers share the machine
    nice: int = 0  # 0..19, higher gives way to others
    kv_cache_gib: int = 2
    # of the prefix cache, a multiple of 32; 0: vLLM's own (128: short prompts share nothing)
    block_tokens: int = 0
    stream_interval: int = 1  # tokens per streamed event after the first; more costs the server less
    dtype: str = ""  # bfloat16 | float32; "": what this processor is fastest with
    start_s: float = 300.0  # how long it may take to answer
    layers: tuple[int, ...] = ()  # whose hidden states are handed out to requests that ask; (): none
    states: Mapping[str, Any] = field(default_factory=dict)  # see predictors.vllm.options
    pooling: bool = False  # serves the last token's state of whatever it is sent, and no completions


def fastest_dtype(flags: frozenset[str]) -> str:
    """bfloat16 where the processor multiplies it natively, else float32 (emulated bfloat16 is several times slower)."""
    return "bfloat16" if flags & {"amx_bf16", "avx512_bf16"} else "float32"


def free_port() -> int:
    """A port of 127.0.0.1 that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def command_line(where: Places, model: Model, port: int, options: ServerOptions) -> list[str]:
    """The server's command.

    Chunked prefill is off because a seeded sample whose prompt is cut into chunks ends the engine on a CPU
    ("CPU Generator does not use offset").
    """
    settings = {
        "--model": str(where.model(model.name)),
        "--served-model-name": model.name,
        "--host": "127.0.0.1",
        "--port": str(port),
        "--dtype": options.dtype or fastest_dtype(cpu_flags()),
        "--max-model-len": str(CONTEXT),
        "--max-num-seqs": "64",
        "--max-num-batched-tokens": str(BATCH_TOKENS),
        "--stream-interval": str(options.stream_interval),
    }
    switches = ["--enforce-eager", "--no-enable-chunked-prefill", "--enable-prompt-tokens-details"]
    if options.pooling:
        switches.extend(["--runner", "pooling", "--convert", "embed"])
    if options.layers:
        switches.extend(server_flags(options.layers, options.states))
    if options.block_tokens:
        settings["--block-size"] = str(options.block_tokens)
    flat = [part for pair in settings.items() for part in pair]
    return [str(where.python), "-m", "vllm.entrypoints.openai.api_server", *flat, *switches]


def environ_of(where: Places, options: ServerOptions) -> dict[str, str]:
    """The server's environment variables: offline, silent, its own OpenMP, no binding to cores."""
    threads = options.threads or max(1, (os.cpu_count() or 1) // 2)
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    if options.layers:  # the connector is ours
        environ["PYTHONPATH"] = str(Path(__file__).parents[2])
    return environ | {
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "VLLM_CPU_KVCACHE_SPACE": str(options.kv_cache_gib),
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "OMP_NUM_THREADS": str(threads),
        "LD_PRELOAD": str(where.environment / "lib" / "libiomp5.so"),
    }


@dataclass(slots=True)
class VllmServer:
    """A running server; `with VllmServer("small") as server: server.url`. Needs `make vllm-cpu` to have run."""

    size: str  # small | large
    options: ServerOptions = ServerOptions()
    where: Places = field(default_factory=places)
    port: int = 0  # of the running server
    log: Path = Path()
    _process: subprocess.Popen[bytes] | None = None

    @property
    def model(self) -> str:
        """The name to ask for."""
        return model_named(self.size).name

    @property
    def url(self) -> str:
        """Without /v1."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def session(self) -> int:
        """The number of the session that its processes are in; 0 where it does not run."""
        return self._process.pid if self._process else 0

    def start(self) -> Self:
        """Start and wait until it answers; raise TrainingError with the log's end if it does not."""
        self.launch()
        try:
            self.wait_until_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def launch(self) -> None:
        """Start and return at once, so that several can come up side by side. Whoever launches also stops."""
        model = model_named(self.size)
        if not self.where.ready.is_file() or not self.where.model(model.name).is_dir():
            raise TrainingError(f"{model.name}: not there yet; run `make vllm-cpu` first")
        self.port = self.options.port or free_port()
        self._check_port()
        self.where.logs.mkdir(parents=True, exist_ok=True)
        self.log = self.where.logs / f"vllm-{self.size}-{self.port}.log"
        command = command_line(self.where, model, self.port, self.options)
        if self.options.nice:
            command = ["nice", "-n", str(self.options.nice), *command]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 (our own command line)
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environ_of(self.where, self.options),
                start_new_session=True,
            )

    def stop(self, grace_s: float = 20.0) -> None:
        """End the server and its children: asked first, forced after `grace_s`, or at once if this is interrupted.

        Safe to call twice.
        """
        process, self._process = self._process, None
        if process is None:
            return
        try:
            if _signal_group(process.pid, signal.SIGTERM):
                process.wait(grace_s)
        except subprocess.TimeoutExpired:
            pass
        finally:
            _signal_group(process.pid, signal.SIGKILL)  # also children that outlived it
            process.wait()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def wait_until_it_ends(self) -> int:
        """Block until the server ends by itself; return its exit code."""
        return self._process.wait() if self._process else 0

    def _check_port(self) -> None:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", self.port))
            except OSError as error:
                raise TrainingError(
                    f"port {self.port} of 127.0.0.1: {error.strerror}; choose another"
                ) from error

    def wait_until_ready(self) -> None:
        """Return once it answers; raise TrainingError with the log's end if it does not."""
        end = time.monotonic() + self.options.start_s
        while time.monotonic() < end:
            if self._process is None or self._process.poll() is not None:
                raise TrainingError(
                    f"{self.model} ended while starting; {self.log} ends with:\n{self._tail()}"
                )
            if self._answers():
                return
            time.sleep(0.5)
        raise TrainingError(f"{self.model}: no answer within {self.options.start_s:g} s; see {self.log}")

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=2) as response:  # noqa: S310 (loopback)
                return bool(response.status == 200)
        except OSError:
            return False

    def _tail(self) -> str:
        lines = self.log.read_text("utf-8", "replace").splitlines()
        said = [line for line in lines if "Error" in line or "error" in line] or lines
        return "\n".join(said[-8:])


def _signal_group(pid: int, sign: signal.Signals) -> bool:
    """Send to the process's whole group; False if nobody is left in it."""
    try:
        os.killpg(pid, sign)
    except ProcessLookupError:
        return False
    return True
