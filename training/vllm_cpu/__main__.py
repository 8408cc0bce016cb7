"""`python -m training.vllm_cpu make | serve small|large | where`."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from predictors.vllm.options import HIDDEN, VALUES
from training.errors import TrainingError
from training.vllm_cpu.environment import make_environment, say
from training.vllm_cpu.models import MODELS, make_model
from training.vllm_cpu.places import places
from training.vllm_cpu.server import ServerOptions, VllmServer

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=__doc__)


@app.command()
def make() -> None:
    """Make the environment and convert the models, unless they are there."""
    where = places()
    make_environment(where)
    for model in MODELS.values():
        make_model(where, model)


@app.command()
def serve(
    size: Annotated[str, typer.Argument(help=f"{' or '.join(MODELS)}")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="of 127.0.0.1; 0: any free one")] = 0,
    threads: Annotated[int, typer.Option(min=0, help="0: half of the cores")] = 0,
    nice: Annotated[int, typer.Option(min=0, max=19)] = 0,
    states: Annotated[
        Path | None, typer.Option(help="leave hidden states of requests that ask in this folder")
    ] = None,
    layers: Annotated[str, typer.Option(help="whose states, with commas: blocks passed")] = "20",
    values: Annotated[
        bool, typer.Option("--values", help="value vectors out of the KV cache instead of hidden states")
    ] = False,
    pooling: Annotated[
        bool, typer.Option("--pooling", help="serve states instead of completions, on /v1/embeddings")
    ] = False,
    stream_interval: Annotated[int, typer.Option(min=1, help="tokens per streamed event")] = 1,
) -> None:
    """Serve one model until interrupted."""

    def leave(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, leave)
    chosen = tuple(int(layer) for layer in layers.split(",")) if states else ()
    options = ServerOptions(
        port=port,
        threads=threads,
        nice=nice,
        stream_interval=stream_interval,
        layers=chosen,
        states={"folder": str(states.resolve()), "states": VALUES if values else HIDDEN} if states else {},
        pooling=pooling,
    )
    server = VllmServer(size, options)
    try:
        with server:
            say(f"{server.model} answers at {server.url}/v1 (log: {server.log})")
            code = server.wait_until_it_ends()
        raise TrainingError(f"{server.model} ended with exit code {code}; see {server.log}")
    except KeyboardInterrupt:
        say(f"{server.model} stopped")


@app.command()
def where() -> None:
    """Print the folders."""
    here = places()
    for name in ("environment", "models", "packages", "logs"):
        print(f"{name}: {getattr(here, name)}")


def main() -> None:
    """Run the command line; expected errors are one message and exit code 1."""
    try:
        app()
    except TrainingError as error:
        print(f"vllm-cpu: {error}", file=sys.stderr)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
